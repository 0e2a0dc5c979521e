// Checks a proof of `assent audit prove` without Assent: node check-proof.mjs KEY FILE. Node.js alone, no packages.
// KEY is what `assent audit key` prints, from whom you trust, or a file with it; FILE is C2SP tlog-proof (RFC 6962 tree, signed checkpoint).
import { createHash, createPublicKey, verify } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";

const sha256 = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const fail = (why) => { console.error(`proves nothing: ${why}`); process.exit(1); };
process.on("uncaughtException", () => fail("KEY or FILE is not what it should be: node check-proof.mjs KEY FILE"));
const told = existsSync(process.argv[2]) ? readFileSync(process.argv[2], "utf8") : process.argv[2];
const [, name, encoded] = told.trim().match(/^([^+]+)\+.{8}\+(.+)$/);
const key = Buffer.from(encoded, "base64"); // 1 for Ed25519, then the key
const id = sha256(Buffer.from(`${name}\n`), key).subarray(0, 4);

const text = readFileSync(process.argv[3], "utf8");
const cut = text.indexOf("\n\n");
const [head, extra, at, ...hashes] = text.slice(0, cut).split("\n");
if (head !== "c2sp.org/tlog-proof@v1") fail("it is no tlog-proof");
const leaf = Buffer.from(extra.replace("extra ", ""), "base64");
const index = BigInt(at.replace("index ", ""));
const [signed, signatures] = text.slice(cut + 2).split("\n\n");
const [origin, size, root] = signed.split("\n");

const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key.subarray(1)]);
const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
const isSigned = signatures.split("\n").some((line) => {
  const [dash, who, signature] = line.split(" ");
  const bytes = Buffer.from(signature ?? "", "base64");
  return dash === "\u2014" && who === name && bytes.subarray(0, 4).equals(id)
    && verify(null, Buffer.from(`${signed}\n`), publicKey, bytes.subarray(4));
});
if (origin !== name || !isSigned) fail("its checkpoint is not signed by this log");

let [hash, place, last] = [sha256(Buffer.from([0]), leaf), index, BigInt(size) - 1n];
if (place > last) fail("the log has no such leaf");
for (const sibling of hashes.map((line) => Buffer.from(line, "base64"))) {
  if (last === 0n) fail("it has too many hashes");
  const isRight = place % 2n === 1n || place === last;
  hash = isRight ? sha256(Buffer.from([1]), sibling, hash) : sha256(Buffer.from([1]), hash, sibling);
  while (isRight && place % 2n === 0n && place !== 0n) [place, last] = [place / 2n, last / 2n];
  [place, last] = [place / 2n, last / 2n];
}
if (last !== 0n || !hash.equals(Buffer.from(root, "base64"))) fail("the record is not the one at its place");
console.log(`leaf ${index} of ${size} in the log ${name}:\n${leaf}`);
