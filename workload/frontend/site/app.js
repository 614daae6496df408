// The page: what the address says is shown; the form and the links change the address.
import { ask, itemAddress, readAddress, searchAddress, splitMarks } from "/api.js";

const find = (id) => document.getElementById(id);
const [form, field, status, place, results, more] = ["search", "q", "status", "place", "results", "more"].map(find);

let current = new AbortController();
let page = 1;

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function marked(text) {
  return splitMarks(text).map((piece) => (piece.marked ? element("mark", piece.text) : piece.text));
}

/** Returns what a field says, with marks where a search has found something in it. */
function shown(found, name) {
  return found.matches?.[name] ? marked(found.matches[name]) : [found[name]];
}

function details(found) {
  const facts = element("p", [found.kind, ...(found.cuisine ?? [])].join(" · "));
  return found.description ? [facts, element("p", ...shown(found, "description"))] : [facts];
}

function row(found) {
  const link = element("a", ...shown(found, "name"));
  link.href = `/places/${encodeURIComponent(found.id)}`;
  return element("li", link, ...details(found));
}

async function search(query, wanted, signal) {
  const answer = await ask(searchAddress(query, wanted), signal);
  page = wanted;
  results.append(...answer.results.map(row));
  status.textContent = answer.found === 1 ? "1 result" : `${answer.found} results`;
  more.hidden = answer.results.length === 0 || results.children.length >= answer.found;
}

async function showPlace(id, signal) {
  const found = await ask(itemAddress(id), signal);
  place.replaceChildren(element("h1", found.name), ...details(found));
  place.hidden = false;
  status.textContent = "";
}

/** Does one thing; a newer one ends it. */
async function run(act) {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  status.textContent = "…";
  try {
    await act(signal);
  } catch (error) {
    if (!signal.aborted) {
      status.textContent = error.message;
    }
  }
}

function show() {
  const at = readAddress(location.pathname, location.search);
  results.replaceChildren();
  place.hidden = more.hidden = true;
  if (at.place) {
    run((signal) => showPlace(at.place, signal));
  } else if (at.query) {
    field.value = at.query;
    run((signal) => search(at.query, 1, signal));
  } else {
    current.abort();
    status.textContent = "";
  }
}

function go(address) {
  history.pushState(null, "", address);
  show();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  go(`/?${new URLSearchParams({ q: field.value })}`);
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a");
  if (link && link.origin === location.origin && !event.metaKey && !event.ctrlKey && !event.shiftKey) {
    event.preventDefault();
    go(link.href);
  }
});
more.addEventListener("click", () => {
  run((signal) => search(readAddress(location.pathname, location.search).query, page + 1, signal));
});
addEventListener("popstate", show);
show();
