// The page: what is chosen, what is typed, and who answers it.

import { answer } from "./answer.js";
import { listed, rivals, successor } from "./models.js";
import { Panel } from "./panel.js";
import { curl, python } from "./requests.js";

const element = (id) => document.getElementById(id);
const form = element("form");
const input = element("input");
const send = element("send");
const stop = element("stop");
const choose = element("choose");
const against = element("against");
const known = JSON.parse(form.dataset.models);
const panels = [0, 1].map(() => new Panel(element("panel")));
let all = [];
let chosen = null;
let running = null;
let finished = Promise.resolve();

const alone = () => rivals(chosen, all).length === 0;
const rival = () => rivals(chosen, all).find((one) => one.key === against.value);

function show(one) {
  // What somebody has typed is kept; an example gives way to the next one.
  if (chosen && (!input.value || input.value === chosen.example)) input.value = one.example;
  chosen = one;
  element("model").textContent = one.id;
  element("task").textContent = one.task;
  send.textContent = one.title;
  offer();
  showCommand();
}

function offer() {
  const others = rivals(chosen, all);
  const before = against.value;
  choose.replaceChildren(...all.map((one) => new Option(`${one.title}: ${one.shown}`, one.key)));
  choose.value = chosen.key;
  against.replaceChildren(new Option("Nothing", ""), ...others.map((one) => new Option(one.shown, one.key)));
  against.value = others.some((one) => one.key === before) ? before : "";
  element("choice").hidden = all.length === 1;
  element("rival").hidden = others.length === 0;
  widen();
}

function widen() {
  document.body.classList.toggle("comparing", Boolean(rival()));
}

async function refresh() {
  const found = await listed(known);
  // A select that is open would close: it is only made anew when there is something new.
  if (JSON.stringify(found) === JSON.stringify(all)) return;
  all = found;
  show(successor(chosen, all));
}

async function ask() {
  if (!chosen) await refresh();
  const text = input.value;
  const asked = [chosen, rival()].filter(Boolean).map((choice) => ({ choice, text, alone: alone() }));
  const ids = all.map((one) => one.id);
  stop.hidden = !chosen.streams;
  for (const panel of panels.slice(asked.length)) panel.hide();
  const stale = await Promise.all(asked.map((one, at) => answer(panels[at], one, ids, running.signal)));
  element("heard").textContent = panels.slice(0, asked.length).map((panel) => panel.told()).join(". ");
  if (stale.includes(true)) await refresh();
}

async function run() {
  running = new AbortController();
  send.setAttribute("aria-disabled", "true");
  try {
    await ask();
  } catch (error) {
    complain(error);
  } finally {
    running = null;
    rest();
  }
}

function rest() {
  const focused = document.activeElement === stop;
  send.removeAttribute("aria-disabled");
  stop.hidden = true;
  if (focused) input.focus(); // a button that goes would take the focus with it
}

// What went wrong beside an answer: the list of models.
function complain(error) {
  panels[0].begin("");
  panels[0].fail(error.message);
}

async function clear() {
  running?.abort();
  await finished;
  for (const panel of panels) panel.hide();
}

function command() {
  const written = form.elements.language.value === "python" ? python : curl;
  return written(chosen, input.value, alone());
}

function showCommand() {
  if (chosen) element("command").textContent = command();
}

async function copy() {
  const button = element("copy");
  try {
    await navigator.clipboard.writeText(command());
    button.textContent = "Copied";
  } catch {
    // Without HTTPS, browsers keep the clipboard from pages.
    getSelection().selectAllChildren(element("command"));
    button.textContent = "Selected: press Ctrl+C";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  if (!running) finished = run();
});
input.addEventListener("keydown", (event) => {
  // While an input method composes a character, Enter belongs to it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  form.requestSubmit();
});
input.addEventListener("input", showCommand);
stop.addEventListener("click", () => running?.abort());
choose.addEventListener("change", () => {
  show(all[choose.selectedIndex]);
  clear();
});
against.addEventListener("change", () => {
  widen();
  clear();
});
for (const one of form.elements.language) one.addEventListener("change", showCommand);
element("copy").addEventListener("click", copy);

element("answers").append(...panels.map((panel) => panel.element));
refresh().catch(complain);
