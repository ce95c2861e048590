import { render } from "preact";
import { useCallback, useEffect, useState } from "preact/hooks";
import { api, token, whenUnauthorised } from "./api.js";
import { PlaceOrder, SetStock, TokenDialog } from "./forms.jsx";
import { Orders, Products } from "./lists.jsx";
import { OrderDetail } from "./order.jsx";
import { Trouble } from "./parts.jsx";

const selectedNow = () => {
  const match = /^#\/orders\/(.+)$/.exec(location.hash);
  try { return match ? decodeURIComponent(match[1]) : null; } catch { return null; }
};

const themes = ["system", "light", "dark"];
const storedTheme = () => (themes.includes(localStorage.getItem("cartwright.theme")) ? localStorage.getItem("cartwright.theme") : "system");
const showTheme = (theme) => (theme === "system" ? delete document.documentElement.dataset.theme : (document.documentElement.dataset.theme = theme));
showTheme(storedTheme());

function App() {
  const [theme, setTheme] = useState(storedTheme());
  const [selected, setSelected] = useState(selectedNow());
  const [orders, setOrders] = useState(null);
  const [products, setProducts] = useState(null);
  const [filter, setFilter] = useState({ status: "", page_token: "" });
  const [productsAt, setProductsAt] = useState("");
  const [problem, setProblem] = useState(null);
  const [said, setSaid] = useState("");
  const [dialog, setDialog] = useState(null); // null, "asked" by the node, or "wanted" by the user
  const [epoch, setEpoch] = useState(0); // rises with each new token

  useEffect(() => {
    whenUnauthorised(() => setDialog((now) => now ?? "asked"));
    const moved = () => setSelected(selectedNow());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);

  const [wanted, setWanted] = useState(0);
  const refresh = useCallback(() => setWanted((n) => n + 1), []);

  // Lists are asked again every two seconds while somebody looks: a browser has six connections to a node, too few for a stream a row.
  useEffect(() => {
    if (dialog) return;
    let over = false, timer;
    async function load() {
      if (!document.hidden) {
        // A node without one of the two roles still shows the other.
        const [first, second] = await Promise.allSettled([api.orders(filter), api.stock({ page_token: productsAt })]);
        if (over) return;
        if (first.status === "fulfilled") setOrders(first.value);
        if (second.status === "fulfilled") setProducts(second.value);
        setProblem(first.reason ?? second.reason ?? null);
      }
      timer = setTimeout(load, 2000);
    }
    load();
    return () => { over = true; clearTimeout(timer); };
  }, [filter, productsAt, epoch, dialog, wanted]);

  const choose = (next) => { localStorage.setItem("cartwright.theme", next); showTheme(next); setTheme(next); };

  return (
    <>
      <a class="skip" href="#main" onClick={(e) => { e.preventDefault(); document.getElementById("main").focus(); }}>Skip to the content</a>
      <header>
        <h1><img src={document.querySelector("link[rel=icon]").href} alt="" width="28" height="28" /> Cartwright</h1>
        <div class="row">
          <label for="theme">Theme</label>
          <select id="theme" value={theme} onChange={(e) => choose(e.target.value)}>{themes.map((one) => <option key={one} value={one}>{one}</option>)}</select>
          <button type="button" class="quiet" onClick={() => setDialog("wanted")}>{token.get() ? "Token ✓" : "Token"}</button>
        </div>
      </header>
      <p class="hidden" role="status" aria-live="polite">{said}</p>
      <main id="main" tabIndex={-1}>
        <div class="side">
          <PlaceOrder onPlaced={(order) => { refresh(); location.hash = `#/orders/${encodeURIComponent(order.order_id)}`; }} />
          <SetStock onSet={(stock) => { setSaid(`${stock.product_id}: ${stock.available} available`); refresh(); }} />
        </div>
        <div class="wide">
          <Trouble problem={problem} />
          {selected && <OrderDetail id={selected} epoch={epoch} say={setSaid} onChange={refresh}
            onClose={() => { location.hash = ""; document.getElementById("main").focus(); }} />}
          <Orders page={orders} filter={filter} selected={selected} onFilter={(part) => setFilter({ ...filter, ...part, page_token: "" })}
            onMore={(page_token) => setFilter({ ...filter, page_token })} />
          <Products page={products} first={!productsAt} onMore={setProductsAt} />
        </div>
      </main>
      <footer><a href="/openapi.json">API description</a> <a href="/readyz?verbose">Readiness</a> <a href="/metrics">Metrics</a></footer>
      {dialog && <TokenDialog asked={dialog === "asked"} onClose={() => { setDialog(null); setEpoch(epoch + 1); }} />}
    </>
  );
}

render(<App />, document.getElementById("root"));
