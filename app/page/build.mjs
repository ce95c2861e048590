// node build.mjs OUT.cpp: bundles source/ with esbuild and writes it, plain and gzipped, as the C++ behind page.hpp.
// A name under /assets/ has a hash of its content, so that it may be kept for ever; the page itself is asked again.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const [out] = process.argv.slice(2);
const source = join(dirname(fileURLToPath(import.meta.url)), "source");
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 16);

async function bundle(entry) {
  const { outputFiles } = await build({
    entryPoints: [join(source, entry)], bundle: true, minify: true, write: false, format: "esm", target: "es2022",
    jsx: "automatic", jsxImportSource: "preact", legalComments: "none", charset: "utf8",
  });
  return Buffer.from(outputFiles[0].contents);
}

const assets = [];
function add(name, type, body) {
  const [stem, ending] = name.split(".");
  const path = `/assets/${stem}-${hash(body)}.${ending}`;
  assets.push({ path, type, body, forever: true });
  return path;
}

const names = {
  icon: add("icon.svg", "image/svg+xml", readFileSync(join(source, "icon.svg"))),
  style: add("style.css", "text/css; charset=utf-8", await bundle("style.css")),
  script: add("main.js", "text/javascript; charset=utf-8", await bundle("main.jsx")),
};
const html = readFileSync(join(source, "index.html"), "utf8").replace(/%(\w+)%/g, (_, name) => names[name]);
assets.unshift({ path: "/", type: "text/html; charset=utf-8", body: Buffer.from(html), forever: false });

// Octal escapes of three digits cannot run into what follows them.
const literal = (bytes) => {
  let text = "";
  for (const byte of bytes) text += byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c || byte === 0x3f ? "\\" + byte.toString(8).padStart(3, "0") : String.fromCharCode(byte);
  return `"${text.replace(/(?:\\\d{3}|[^\\]){1,4000}/g, "$&\"\n\"")}"`;
};
const view = (bytes) => `std::string_view(${literal(bytes)}, ${bytes.length})`;
const rows = assets.map(({ path, type, body, forever }) =>
  `    Asset{"${path}", "${type}", "\\"${hash(body)}\\"", ${forever},\n${view(body)},\n${view(gzipSync(body, { level: 9 }))}},`);
writeFileSync(out, `// Generated from app/page/source by app/page/build.mjs.
#include "app/page/page.hpp"

#include <array>

namespace cartwright::page {

std::span<const Asset> assets() {
  static constexpr std::array all = {
${rows.join("\n")}
  };
  return all;
}

}  // namespace cartwright::page
`);
