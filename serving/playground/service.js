// Asks the service: a whole answer, or one that comes in pieces. What goes wrong is an Error with words for people.

import { bodyOf } from "./requests.js";

const GONE = "The service does not answer. Is it still running?";
const BROKEN = "The connection broke off before the answer was complete.";

// Only what the network does is told as such; an abort stays one.
async function reached(promise, message) {
  try {
    return await promise;
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(message);
  }
}

function refusal({ message, type }, status) {
  const marks = [status, type].filter(Boolean).join(", ");
  return Object.assign(new Error(`${message} (${marks})`), { status });
}

async function refused(response) {
  const text = await reached(response.text(), BROKEN);
  let error;
  try {
    error = JSON.parse(text).error;
  } catch {
    // Not from the service: something between here and there has answered.
  }
  if (error?.message) return refusal(error, response.status);
  return refusal({ message: "The answer is an error without a message." }, response.status);
}

async function asked(route, more) {
  const response = await reached(fetch(route, more), GONE);
  if (!response.ok) throw await refused(response);
  return response;
}

function post(route, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return asked(route, { method: "POST", headers, body: JSON.stringify(body), signal });
}

export async function got(route) {
  return reached((await asked(route)).json(), BROKEN);
}

export async function whole(choice, text, alone, signal) {
  const response = await post(choice.route, bodyOf(choice, text, alone), signal);
  const body = await reached(response.json(), BROKEN);
  return { result: body.results[0], version: response.headers.get("X-Model-Version") ?? body.model };
}

export async function stream(choice, text, signal) {
  const body = { ...bodyOf(choice, text), stream: true, stream_options: { include_usage: true } };
  const response = await post(choice.route, body, signal);
  return { version: response.headers.get("X-Model-Version"), chunks: chunks(response.body) };
}

async function* chunks(body) {
  for await (const data of events(body)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw refusal(chunk.error);
    yield chunk;
  }
  throw new Error(BROKEN);
}

// Server-sent events: an empty line ends each; a network piece may end anywhere.
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reached(reader.read(), BROKEN);
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    yield* parts.filter((part) => part.startsWith("data: ")).map((part) => part.slice("data: ".length));
  }
}
