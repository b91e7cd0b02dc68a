variable "bucket" {
  description = "Name of the bucket of the tables."
  type        = string
}

variable "name" {
  description = "What the role, the policy and the distribution are called."
  type        = string
  default     = "audiomem"
}

variable "writable" {
  description = "Whether the service may write tables; otherwise it only reads."
  type        = bool
  default     = false
}

variable "noncurrent_days" {
  description = "Days for which objects that were replaced or deleted are kept."
  type        = number
  default     = 30

  validation {
    condition     = var.noncurrent_days >= 1
    error_message = "noncurrent_days is at least 1."
  }
}

variable "kms_key_arn" {
  description = "KMS key of the bucket; null for S3's own keys (AES256)."
  type        = string
  default     = null
}

variable "oidc_provider_arn" {
  description = "OIDC provider of the cluster (EKS); the role trusts its service account."
  type        = string
}

variable "oidc_provider_url" {
  description = "URL of the same provider, without https://."
  type        = string
}

variable "service_account" {
  description = "namespace:name of the service account of the chart."
  type        = string
  default     = "audiomem:audiomem"
}

variable "service_domain" {
  description = "Host name at which the CDN reaches `audiomem serve`, by https."
  type        = string
}

variable "price_class" {
  description = "Regions of the CDN."
  type        = string
  default     = "PriceClass_100"
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}
