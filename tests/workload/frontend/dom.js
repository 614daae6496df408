// As much of a browser as the page uses. ADDRESS is where it stands, ANSWERS what the API says: address to JSON.
class Element {
  constructor(name) {
    Object.assign(this, { name, nodes: [], listeners: {}, hidden: false, value: "", href: "" });
  }
  append(...nodes) {
    this.nodes.push(...nodes);
  }
  replaceChildren(...nodes) {
    this.nodes = nodes;
  }
  get children() {
    return this.nodes.filter((node) => node instanceof Element);
  }
  get textContent() {
    return this.nodes.map((node) => node.textContent ?? node).join("");
  }
  set textContent(text) {
    this.nodes = text ? [text] : [];
  }
  addEventListener(kind, listener) {
    this.listeners[kind] = listener;
  }
  fire(kind) {
    this.listeners[kind]({ preventDefault() {}, target: this });
  }
  toString() {
    const inside = this.nodes.map((node) => (node instanceof Element ? `${node}` : node.replaceAll("<", "&lt;")));
    return `<${this.name}${this.href && ` ${this.href}`}>${inside.join("")}</${this.name}>`;
  }
}

const elements = Object.fromEntries(
  ["search", "q", "status", "place", "results", "more"].map((id) => [id, new Element(id === "place" ? "article" : id)]),
);
elements.place.hidden = elements.more.hidden = true;
const asked = [];

globalThis.document = {
  getElementById: (id) => elements[id],
  createElement: (name) => new Element(name),
  addEventListener() {},
};
globalThis.addEventListener = () => {};
globalThis.location = new URL(ADDRESS, "https://example.com");
globalThis.history = { pushState: (_, __, address) => (globalThis.location = new URL(address, location)) };
globalThis.fetch = async (address) => {
  asked.push(address);
  return new Response(JSON.stringify(ANSWERS[address] ?? {}), { status: address in ANSWERS ? 200 : 404 });
};

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));

function picture() {
  return {
    status: elements.status.textContent,
    results: elements.results.children.map(String),
    more: !elements.more.hidden,
    place: elements.place.hidden ? null : String(elements.place),
    asked,
    at: location.pathname + location.search,
  };
}
