"use strict";

async function show(url) {
  const spec = await (await fetch(url)).json();
  if (spec.info.description?.includes("https://img.shields.io")) delete spec.info.description; // BentoML's badges
  SwaggerUIBundle({ spec, dom_id: "#docs", deepLinking: true, defaultModelsExpandDepth: 0 });
}

show(location.search === "?bentoml" ? "/docs.json" : "/openapi.json");
