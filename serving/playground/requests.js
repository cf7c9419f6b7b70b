// What is sent for a text, in one place: the page and the commands that it shows must never differ.

const HITS = 5;

function input(choice, text, alone) {
  // Where only one model can do it, the request need not name it, and goes on working after a swap.
  const named = alone ? {} : { model: choice.id };
  const options = choice.verb === "search" ? { options: { k: HITS } } : {};
  return { input: text, ...named, ...options };
}

export function bodyOf(choice, text, alone) {
  if (choice.verb === "chat") return { model: choice.id, messages: [{ role: "user", content: text }] };
  if (choice.verb === "generate") return { model: choice.id, prompt: text };
  return input(choice, text, alone);
}

export function curl(choice, text, alone) {
  const body = JSON.stringify(bodyOf(choice, text, alone)).replaceAll("'", "'\\''");
  return `curl ${location.origin}${choice.route} \\\n  -H 'Content-Type: application/json' \\\n  -d '${body}'`;
}

export function python(choice, text, alone) {
  return choice.streams ? pythonStream(choice, text) : pythonPost(choice, text, alone);
}

// A JSON string is a Python string, too.
function pythonPost(choice, text, alone) {
  return `import json
from urllib.request import Request, urlopen

body = ${JSON.stringify(bodyOf(choice, text, alone))}
request = Request(
    "${location.origin}${choice.route}",
    data=json.dumps(body).encode(),
    headers={"Content-Type": "application/json"},
)
with urlopen(request) as response:
    print(json.load(response))`;
}

function pythonStream(choice, text) {
  const [method, asked, piece] = choice.verb === "chat"
    ? ["chat.completions", "messages", "delta.content"]
    : ["completions", "prompt", "text"];
  return `from openai import OpenAI  # pip install openai

client = OpenAI(base_url="${location.origin}/v1", api_key="none")
stream = client.${method}.create(
    model="${choice.id}",
    ${asked}=${JSON.stringify(bodyOf(choice, text)[asked])},
    stream=True,
)
for piece in stream:
    print(piece.choices[0].${piece} or "", end="", flush=True)`;
}
