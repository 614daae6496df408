// What the page asks for, and what it reads out of an address or an answer. No document in here: tests run it in Node.

/** Returns where the page stands: {place: "r-7"} for /places/r-7, otherwise {query: "laksa"} for /?q=laksa. */
export function readAddress(path, query) {
  const place = path.match(/^\/places\/([A-Za-z0-9][A-Za-z0-9-]{0,63})$/);
  return place ? { place: place[1] } : { query: (new URLSearchParams(query).get("q") ?? "").trim() };
}

/** Returns the address of one page of results. */
export function searchAddress(query, page) {
  return `/search?${new URLSearchParams({ q: query, page: String(page) })}`;
}

/** Returns the address of one item. */
export function itemAddress(id) {
  return `/items/${encodeURIComponent(id)}`;
}

/** Splits a snippet at its marks into [{text, marked}]. All else in it is text that somebody wrote, never HTML. */
export function splitMarks(snippet) {
  const pieces = [];
  let marked = false;
  for (const piece of snippet.split(/(<\/?mark>)/)) {
    if (piece === "<mark>" || piece === "</mark>") {
      marked = piece === "<mark>";
    } else if (piece) {
      pieces.push({ text: piece, marked });
    }
  }
  return pieces;
}

/** Fetches JSON; throws an Error whose message a person can read. */
export async function ask(address, signal, fetcher = fetch) {
  let response;
  try {
    response = await fetcher(address, { signal, headers: { Accept: "application/json" } });
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    throw new Error("There is no connection. Try again.");
  }
  if (response.status === 429 || response.status === 503) {
    throw new Error("Too much is going on just now. Try again in some seconds.");
  }
  if (response.status === 404) {
    throw new Error("There is nothing here.");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body) {
    return body;
  }
  throw new Error(body?.error === "BadQuery" ? `This cannot be searched for: ${body.message}.` : "That did not work.");
}
