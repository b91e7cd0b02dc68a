output "tables_url" {
  description = "Where tables are: a value of the chart's `tables` begins with it."
  value       = "s3://${aws_s3_bucket.tables.bucket}/"
}

output "role_arn" {
  description = "For serviceAccount.annotations of the chart."
  value       = aws_iam_role.service.arn
}

output "cdn_domain" {
  description = "Where the service is reached through the CDN."
  value       = aws_cloudfront_distribution.service.domain_name
}
