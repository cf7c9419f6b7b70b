// Lets one model answer in one panel, and takes the time.

import { stream, whole } from "./service.js";

async function atOnce(panel, { choice, text, alone }, since, signal) {
  const { result, version } = await whole(choice, text, alone, signal);
  panel.begin(version);
  panel.facts({ total: since() });
  panel.show(result, text);
  return version;
}

async function inPieces(panel, { choice, text }, since, signal) {
  const { version, chunks } = await stream(choice, text, signal);
  const found = {};
  panel.begin(version);
  try {
    for await (const { choices, usage } of chunks) {
      const piece = choices[0]?.delta?.content ?? choices[0]?.text;
      if (piece) found.first ??= since();
      if (piece) panel.write(piece);
      found.tokens ??= usage?.completion_tokens;
    }
    if (found.first === undefined) panel.show({ text: "" });
  } finally {
    panel.facts({ ...found, total: since(), stopped: signal.aborted });
  }
  return version;
}

// Gives back whether the list of models is out of date: the answer is of a version that it lacks, or there is none.
export async function answer(panel, asked, listed, signal) {
  const start = performance.now();
  const since = () => performance.now() - start;
  panel.wait();
  try {
    const version = await (asked.choice.streams ? inPieces : atOnce)(panel, asked, since, signal);
    return !listed.includes(version);
  } catch (error) {
    const begun = panel.begun; // half an answer stays
    panel.begin(asked.choice.id);
    if (!signal.aborted) panel.fail(error.message);
    else if (!begun) panel.facts({ total: since(), stopped: true });
    return error.status === 404;
  } finally {
    panel.done();
  }
}
