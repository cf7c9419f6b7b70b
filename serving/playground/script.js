// The page: what is chosen, what is typed, and who answers it.

import { listed, rivals, successor } from "./models.js";
import { Panel } from "./panel.js";
import { curl, python } from "./requests.js";
import { stream, whole } from "./service.js";

const element = (id) => document.getElementById(id);
const form = element("form");
const input = element("input");
const send = element("send");
const choose = element("choose");
const against = element("against");
const known = JSON.parse(form.dataset.models);
const panels = [0, 1].map(() => new Panel(element("panel")));
let all = [];
let chosen = null;
let running = null;

const alone = () => rivals(chosen, all).length === 0;
const rival = () => rivals(chosen, all).find((one) => one.key === against.value);

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

function choice(one) {
  // What somebody has typed is kept; an example gives way to the next one.
  const untouched = !input.value || input.value === chosen?.example;
  const before = chosen;
  chosen = one;
  element("model").textContent = one.id;
  element("task").textContent = one.task;
  send.textContent = one.title;
  if (before && untouched) input.value = one.example;
  offer();
  showCommand();
}

function clear() {
  running?.abort();
  panels.forEach((panel) => panel.hide());
  element("heard").textContent = "";
}

// Another list would close a select that is open: it is only replaced when it has changed.
async function refresh() {
  const found = await listed(known);
  if (JSON.stringify(found) === JSON.stringify(all)) return;
  all = found;
  choice(successor(chosen, all));
}

function command() {
  const write = form.elements.language.value === "python" ? python : curl;
  return write(chosen, input.value, alone());
}

function showCommand() {
  if (chosen) element("command").textContent = command();
}

async function answerWhole(panel, one, text, signal) {
  const start = performance.now();
  const { result, version } = await whole(one, text, alone(), signal);
  panel.begin(version);
  panel.facts({ total: performance.now() - start });
  return { version, told: panel.show(result, text) };
}

async function answerStream(panel, one, text, signal) {
  const start = performance.now();
  const since = () => performance.now() - start;
  const times = {};
  const { version, chunks } = await stream(one, text, signal);
  panel.begin(version);
  try {
    for await (const { choices, usage } of chunks) {
      const piece = choices[0]?.delta?.content ?? choices[0]?.text;
      if (piece) times.first ??= since();
      if (piece) panel.write(piece);
      times.tokens ??= usage?.completion_tokens;
    }
  } finally {
    panel.facts({ ...times, total: since(), stopped: signal.aborted });
  }
  if (times.first === undefined) panel.write("The model wrote nothing.");
  return { version, told: panel.part("text").textContent };
}

async function fill(panel, one, text, signal) {
  panel.wait();
  try {
    const { version, told } = await (one.streams ? answerStream : answerWhole)(panel, one, text, signal);
    if (!all.some((other) => other.id === version)) await refresh();
    return `${version}: ${told}`;
  } catch (error) {
    return failed(panel, one, error);
  } finally {
    panel.done();
  }
}

async function failed(panel, one, error) {
  if (error.name === "AbortError") return "Stopped.";
  // Half an answer stays beside the error; an earlier one goes.
  if (panel.part("version").textContent !== one.id || !one.streams) panel.begin(one.id);
  panel.fail(error.message);
  if (error.status === 404) await refresh(); // the model may have been swapped
  return "";
}

async function ask() {
  const asked = [chosen, rival()].filter(Boolean);
  const text = input.value;
  const signal = running.signal;
  asked.length === 1 && panels[1].hide();
  element("heard").textContent = "";
  const told = await Promise.all(asked.map((one, at) => fill(panels[at], one, text, signal)));
  if (!signal.aborted || !panels[0].element.hidden) element("heard").textContent = told.filter(Boolean).join(" ");
}

function busy(now) {
  const stop = element("stop");
  const focused = document.activeElement === stop;
  send.toggleAttribute("aria-disabled", now);
  if (now) send.setAttribute("aria-disabled", "true");
  stop.hidden = !(now && chosen.streams);
  if (focused) input.focus(); // a button that goes would take the focus with it
}
