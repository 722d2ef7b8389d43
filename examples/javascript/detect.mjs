// Detects objects in pictures by a TensorFlow Serving, from Node.js 18 or newer, without any package.
//
//     node detect.mjs --model=mine --labels=exported/mine/1/assets/labels.json photo.jpg more/*.jpg
//
// Prints a JSON object a line for each object that is found: its picture, label, score, and box, which is top, left,
// bottom and right in pixels of the picture as it is seen. Pictures that are refused are named on standard error; the
// exit status is 1 if there were any. The server's REST port takes the request; see docs/javascript.md.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

const options = {
  server: { type: "string", default: "http://localhost:8501" }, // with a path, if a proxy has one
  model: { type: "string" }, // its name on the server
  labels: { type: "string" }, // the model's assets/labels.json; without it labels are category ids
  threshold: { type: "string", default: "0.3" }, // detections of lower scores are not printed
  timeout: { type: "string", default: "60" }, // seconds for the answer to a picture
};
const { values: flags, positionals: pictures } = readFlags();
const [threshold, timeout] = [Number(flags.threshold), Number(flags.timeout)];
if (!flags.model || !pictures.length || !(threshold >= 0) || !(timeout > 0)) explain("--model and pictures are needed");

/** What the command line says. */
function readFlags() {
  try {
    return parseArgs({ allowPositionals: true, options });
  } catch (error) {
    return explain(error.message);
  }
}

function explain(mistake) {
  console.error(`${mistake}
usage: node detect.mjs --model=NAME [--server=http://HOST:8501] [--labels=labels.json]
                       [--threshold=0.3] [--timeout=60] PICTURE...`);
  process.exit(2);
}

/** The names by category id, or none without a file. */
async function readLabels(file) {
  if (!file) return new Map();
  const { names, category_ids: ids } = JSON.parse(await readFile(file, "utf8"));
  return new Map(ids.map((id, index) => [id, names[index]]));
}

/** What the model finds in an encoded picture: JPEG, PNG or WebP. */
async function detect(data, labels) {
  const url = `${flags.server.replace(/\/$/, "")}/v1/models/${flags.model}:predict`;
  const response = await fetch(url, {
    method: "POST",
    body: JSON.stringify({ inputs: { inputs: [{ b64: data.toString("base64") }] } }),
    signal: AbortSignal.timeout(1000 * timeout),
  });
  const answer = await response.json().catch(() => ({}));
  if (answer.error) throw new Error(said(answer.error));
  const outputs = answer.outputs;
  if (!outputs?.detection_boxes) throw new Error(`${url} is no detector of tools/export.py (status ${response.status})`);
  return outputs.detection_boxes[0].slice(0, outputs.num_detections[0]).map((box, row) => {
    const id = outputs.detection_classes[0][row];
    return { label: labels.get(id) ?? String(id), score: outputs.detection_scores[0][row], box };
  });
}

/** What the model says is wrong with a picture, out of what TensorFlow makes of it. */
function said(error) {
  return /Bad input: inputs\[0\] ([^\]\n]*)/.exec(error)?.[1] ?? error;
}

const labels = await readLabels(flags.labels);
for (const picture of pictures) {
  try {
    for (const found of await detect(await readFile(picture), labels)) {
      if (found.score >= threshold) console.log(JSON.stringify({ picture, ...found }));
    }
  } catch (error) {
    const reason = error.cause?.code ?? error.cause?.message; // fetch hides why a connection failed
    console.error(`${picture}: ${error.message}${reason ? ` (${reason}: is ${flags.server} right?)` : ""}`);
    process.exitCode = 1;
  }
}
