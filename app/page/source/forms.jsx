import { useState } from "preact/hooks";
import { api, token } from "./api.js";
import { Dialog, Field, Trouble } from "./parts.jsx";
import { minor, tokens } from "./words.js";

const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
const empty = { product_id: "", quantity: "1" };

export function PlaceOrder({ onPlaced }) {
  const [lines, setLines] = useState([empty]);
  const [user, setUser] = useState("ada");
  const [payment, setPayment] = useState("");
  const [problem, setProblem] = useState(null);
  const [busy, setBusy] = useState(false);
  // The same order sent again after a lost answer is still one order.
  const [attempt, setAttempt] = useState({ body: "", key: "" });
  const change = (at, part) => setLines(lines.map((line, i) => (i === at ? { ...line, ...part } : line)));

  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    const items = lines.map((line) => ({ product_id: line.product_id.trim(), quantity: Number(line.quantity) }));
    const body = { user_id: user.trim(), ...(items.length === 1 ? items[0] : { items }), ...(payment && { payment_token: payment }) };
    const text = JSON.stringify(body);
    const key = attempt.body === text ? attempt.key : newKey();
    setAttempt({ body: text, key });
    setBusy(true);
    try {
      const order = await api.place(body, key);
      setAttempt({ body: "", key: "" });
      setProblem(null);
      onPlaced(order);
    } catch (error) {
      setProblem(error);
    } finally {
      setBusy(false);
    }
  }

  return (
    <section class="card" aria-labelledby="place-title">
      <h2 id="place-title">Place an order</h2>
      <form onSubmit={submit}>
        {lines.map((line, i) => (
          <fieldset key={i} class="line">
            <legend class={lines.length > 1 ? "" : "hidden"}>Line {i + 1}</legend>
            <Field id={`product-${i}`} label="Product">
              {(ties) => <input {...ties} required list="products" autocomplete="off" maxLength={128} placeholder="oak-desk"
                value={line.product_id} onInput={(e) => change(i, { product_id: e.target.value })} />}
            </Field>
            <Field id={`quantity-${i}`} label="Quantity">
              {(ties) => <input {...ties} required type="number" min="1" max="1000000" step="1" value={line.quantity}
                onInput={(e) => change(i, { quantity: e.target.value })} />}
            </Field>
            {lines.length > 1 && <button type="button" class="quiet" aria-label={`Remove line ${i + 1}`}
              onClick={() => setLines(lines.filter((_, j) => j !== i))}>✕</button>}
          </fieldset>
        ))}
        <button type="button" class="quiet" disabled={lines.length >= 100} onClick={() => setLines([...lines, empty])}>+ Add a line</button>
        <div class="two">
          <Field id="user" label="User" wrong={problem?.field === "user_id" && problem.detail}>
            {(ties) => <input {...ties} required maxLength={128} value={user} onInput={(e) => setUser(e.target.value)} />}
          </Field>
          <Field id="payment" label="Payment token">
            {(ties) => <select {...ties} value={payment} onChange={(e) => setPayment(e.target.value)}>
              {tokens.map(([value, text]) => <option key={value} value={value}>{text}</option>)}
            </select>}
          </Field>
        </div>
        <Trouble problem={problem} />
        <button class="main" aria-disabled={busy}>{busy ? "Placing…" : "Place order"}</button>
      </form>
    </section>
  );
}

export function SetStock({ onSet }) {
  const [form, setForm] = useState({ id: "", quantity: "10", price: "", currency: "EUR", name: "" });
  const [problem, setProblem] = useState(null);
  const put = (part) => setForm({ ...form, ...part });

  async function submit(event) {
    event.preventDefault();
    const body = { quantity: Number(form.quantity) };
    if (form.name.trim()) body.name = form.name.trim();
    if (form.price.trim()) {
      body.price_minor = minor(form.price, form.currency);
      body.currency = form.currency.trim().toUpperCase();
      if (body.price_minor === null)
        return setProblem({ title: "Not a price", field: "price_minor", detail: "Write it as 450 or 449.90, with no more decimals than the currency has." });
    }
    try {
      const stock = await api.setStock(form.id.trim(), body);
      setProblem(null);
      onSet(stock);
    } catch (error) {
      setProblem(error);
    }
  }

  return (
    <section class="card" aria-labelledby="stock-title">
      <h2 id="stock-title">Set stock</h2>
      <form onSubmit={submit}>
        <div class="two">
          <Field id="stock-id" label="Product id" wrong={problem?.field === "product_id" && problem.detail}>
            {(ties) => <input {...ties} required maxLength={128} list="products" autocomplete="off" placeholder="oak-desk" value={form.id} onInput={(e) => put({ id: e.target.value })} />}
          </Field>
          <Field id="stock-name" label="Name">
            {(ties) => <input {...ties} maxLength={256} placeholder="Oak desk" value={form.name} onInput={(e) => put({ name: e.target.value })} />}
          </Field>
        </div>
        <div class="three">
          <Field id="stock-quantity" label="On hand">
            {(ties) => <input {...ties} required type="number" min="0" max="1000000000" step="1" value={form.quantity} onInput={(e) => put({ quantity: e.target.value })} />}
          </Field>
          <Field id="stock-price" label="Price" wrong={problem?.field === "price_minor" && problem.detail}>
            {(ties) => <input {...ties} inputMode="decimal" placeholder="450.00" value={form.price} onInput={(e) => put({ price: e.target.value })} />}
          </Field>
          <Field id="stock-currency" label="Currency">
            {(ties) => <input {...ties} maxLength={3} pattern="[A-Za-z]{3}" title="Three letters, for example EUR" value={form.currency} onInput={(e) => put({ currency: e.target.value })} />}
          </Field>
        </div>
        <small>On hand is what is available and what is reserved together.</small>
        <Trouble problem={problem} />
        <button class="main">Set stock</button>
      </form>
    </section>
  );
}

export function TokenDialog({ asked, onClose }) {
  const [value, setValue] = useState(token.get());
  return (
    <Dialog title="Bearer token" onClose={onClose}>
      {(close) => (
        <form onSubmit={(event) => { event.preventDefault(); token.set(value.trim()); close(); }}>
          {asked && <p role="alert">This node asks for a token{token.get() ? ", and does not know the one that you gave" : ""}.</p>}
          <Field id="token" label="Token" hint="Kept in this tab until it is closed, and sent to this node only.">
            {(ties) => <input {...ties} type="password" autocomplete="off" autoFocus value={value} onInput={(e) => setValue(e.target.value)} />}
          </Field>
          <div class="row"><button class="main">Use token</button><button type="button" class="quiet" onClick={close}>Close</button></div>
        </form>
      )}
    </Dialog>
  );
}
