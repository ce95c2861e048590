// The HTTP API as the page uses it. The token is kept in the session's storage alone: it ends with the tab.

const tokenName = "cartwright.token";
export const token = {
  get: () => sessionStorage.getItem(tokenName) ?? "",
  set: (value) => (value ? sessionStorage.setItem(tokenName, value) : sessionStorage.removeItem(tokenName)),
};

/** A refusal (RFC 9457), or status 0 when nobody answered. `field` is the member at fault, if any. */
export class Problem extends Error {
  constructor(status, title, detail, field) {
    super(detail || title);
    Object.assign(this, { status, title, detail, field });
  }
}

let onUnauthorised = () => {};
/** Calls `then` whenever the node asks for a token. */
export const whenUnauthorised = (then) => (onUnauthorised = then);

async function answered(path, options = {}) {
  const headers = { ...options.headers };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, "No answer", "The node does not answer. Is it running?");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401) onUnauthorised();
  throw new Problem(answer.status, problem.title ?? `Status ${answer.status}`, problem.detail ?? "", problem.field);
}

const call = async (path, options) => (await answered(path, options)).json();
const send = (method, path, body, headers = {}) =>
  call(path, { method, headers: { "Content-Type": "application/json", ...headers }, body: JSON.stringify(body) });
const order = (id, part = "") => `/v1/orders/${encodeURIComponent(id)}${part}`;
const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();

export const api = {
  place: (body, key) => send("POST", "/v1/orders", body, { "Idempotency-Key": key }),
  cancel: (id) => send("POST", order(id, "/cancel"), {}),
  order: (id) => call(order(id)),
  part: (id, part) => call(order(id, `/${part}`)),
  orders: (filter) => call(`/v1/orders?${query({ page_size: 25, ...filter })}`),
  stock: (filter) => call(`/v1/stock?${query({ page_size: 100, ...filter })}`),
  setStock: (id, body) => send("PUT", `/v1/stock/${encodeURIComponent(id)}`, body),
};

/**
 * Follows an order: `each` gets the order now and after each change. Ends when the order is final; rejects with a Problem, or with an
 * AbortError. EventSource cannot send a token, hence fetch.
 */
export async function follow(id, each, signal) {
  const answer = await answered(order(id, "/events"), { signal, headers: { Accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (text + value).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const data = block.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");
      if (data) each(JSON.parse(data));
    }
  }
}
