// What can be asked here: one choice for each model and each thing that it can do.

import { got } from "./service.js";

const WRITING = { chat: "/v1/chat/completions", generate: "/v1/completions" };

// The page knows examples and indexes of the models that were served when it was made; the service knows the rest.
function choice(model, verb, known) {
  const like = known.find((one) => one.verb === verb) ?? { example: "" };
  return {
    key: `${verb} ${model.id}`,
    id: model.id,
    name: model.name,
    task: model.task,
    verb,
    title: verb[0].toUpperCase() + verb.slice(1),
    shown: ["champion", null].includes(model.alias) ? model.id : `${model.id} (${model.alias})`,
    example: like.example,
    route: WRITING[verb] ?? `/v1/${verb}`,
    streams: verb in WRITING,
  };
}

// An embedding model names /v1/search even where it has no index; of one that has come since, only the service can tell.
function searchable(model, known) {
  return known.find((one) => one.id === model.id)?.indexed ?? true;
}

function choices(models, known) {
  const found = new Map();
  for (const model of models) {
    const verbs = model.routes.map((route) => route.split("/").at(-1));
    for (const verb of verbs.filter((one) => one !== "search" || searchable(model, known))) {
      const one = choice(model, verb, known);
      if (!found.has(one.key)) found.set(one.key, one);
    }
  }
  return [...found.values()];
}

export async function listed(known) {
  return choices((await got("/v1/models")).data, known);
}

export function rivals(chosen, all) {
  return all.filter((one) => one.verb === chosen.verb && one.id !== chosen.id);
}

// After a swap the same model has another version: stay with it.
export function successor(chosen, all) {
  const able = all.filter((one) => one.verb === chosen?.verb);
  return able.find((one) => one.id === chosen.id) ?? able.find((one) => one.name === chosen.name) ?? able[0] ?? all[0];
}
