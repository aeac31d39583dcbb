// Does with @huggingface/hub what programs do, through the endpoint that
// HF_ENDPOINT names, and prints what came of it as JSON. The arguments are a repo,
// its large file, a small file in a folder, and a cache folder.

const { createHash } = require("node:crypto");
const { createReadStream } = require("node:fs");
const hub = require("@huggingface/hub");

console.debug = () => {}; // by which the library tells of its downloads

const [name, large, small, cacheDir] = process.argv.slice(2);
const at = { repo: { type: "model", name }, hubUrl: process.env.HF_ENDPOINT };

async function sha256(stream) {
	const hash = createHash("sha256");
	for await (const piece of stream) hash.update(piece);
	return hash.digest("hex");
}

const ofFile = (path) => sha256(createReadStream(path));

async function main() {
	const said = { sums: {}, listed: {} };
	for await (const f of hub.listFiles({ ...at, recursive: true })) {
		said.listed[f.path] = f.type === "file" ? f.size : -1;
		said.xet ||= Boolean(f.xetHash);
	}
	said.there = await hub.fileExists({ ...at, path: large });
	said.absent = await hub.fileExists({ ...at, path: "no-such-file.json" });
	said.nothing = await hub.downloadFile({ ...at, path: "no-such-file.json" });

	const blob = await hub.downloadFile({ ...at, path: large });
	said.size = blob.size;
	said.sums.downloadFile = await sha256(blob.stream());
	said.sums.slice = await sha256(blob.slice(1_000_000, 3_000_000).stream());

	const path = await hub.downloadFileToCacheDir({ ...at, path: small, cacheDir });
	said.cached = path;
	said.sums.downloadFileToCacheDir = await ofFile(path);
	said.snapshot = await hub.snapshotDownload({ ...at, cacheDir });
	said.sums.snapshotDownload = await ofFile(`${said.snapshot}/${large}`);
	said.sums.snapshotDownloadSmall = await ofFile(`${said.snapshot}/${small}`);
	console.log(JSON.stringify(said));
}

main();
