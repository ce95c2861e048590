import { useEffect, useRef, useState } from "preact/hooks";
import { api, follow } from "./api.js";
import { Badge, Trouble } from "./parts.jsx";
import { because, cancellable, failed, isFinal, money, number, statuses, steps, time, waiting } from "./words.js";

function Steps({ order, history }) {
  const times = Object.fromEntries(history.map((one) => [one.status, one.at]).reverse());
  const reached = history.length ? Math.max(...history.map((one) => steps.indexOf(one.status))) : 0;
  const last = order.status === "delivered" ? steps.length - 1 : Math.max(steps.indexOf(order.status), reached);
  const shown = failed(order.status) ? [...steps.slice(0, last + 1), order.status] : [...steps, ...(order.status === "delivered" ? ["delivered"] : [])];
  return (
    <ol class="steps" aria-label="Steps">
      {shown.map((status, i) => {
        const bad = failed(status);
        const done = bad || i <= last || status === order.status;
        return (
          <li key={status} class={bad ? "bad" : done ? "done" : ""} aria-current={status === order.status ? "step" : undefined}>
            <b>{statuses[status]}</b>
            <small>{times[status] ? time(times[status]) : done ? "" : "to come"}</small>
          </li>
        );
      })}
    </ol>
  );
}

const Table = ({ title, heads, rows, none }) => (
  <>
    <h3>{title}</h3>
    {rows.length === 0 ? <p class="empty">{none}</p> : (
      <div class="scroll" tabIndex={0} role="region" aria-label={title}><table>
        <thead><tr>{heads.map((head) => <th scope="col" key={head}>{head}</th>)}</tr></thead>
        <tbody>{rows.map((row, i) => <tr key={i}>{row.map((cell, j) => <td key={j}>{cell}</td>)}</tr>)}</tbody>
      </table></div>)}
  </>
);

/** One order, live until its end. */
export function OrderDetail({ id, epoch, say, onChange, onClose }) {
  const [order, setOrder] = useState(null);
  const [parts, setParts] = useState({ history: [], notifications: [], charges: [] });
  const [problem, setProblem] = useState(null);
  const [live, setLive] = useState(false);
  const heading = useRef();

  useEffect(() => { heading.current?.focus(); }, [id]);

  useEffect(() => {
    const abort = new AbortController();
    const gone = () => abort.signal.aborted;
    setOrder(null);
    setProblem(null);
    setParts({ history: [], notifications: [], charges: [] });
    const load = () => Promise.all(["history", "notifications", "charges"].map((part) =>
      // A node without the role has none to show.
      api.part(id, part).then(({ items }) => gone() || setParts((old) => ({ ...old, [part]: items })), () => {})));
    let timers = [];
    const loadSoon = () => { timers.forEach(clearTimeout); timers = [0, 700, 2500].map((wait) => setTimeout(load, wait)); };
    (async () => {
      while (!gone()) {
        try {
          let last = null;
          setLive(true);
          await follow(id, (now) => {
            if (gone()) return;
            setProblem(null);
            setOrder(now);
            loadSoon();
            onChange();
            if (last?.status !== now.status) say(`Order is ${statuses[now.status]}. ${because(now.reason)}`);
            last = now;
          }, abort.signal);
          const now = await api.order(id);
          if (gone()) return;
          setOrder(now);
          loadSoon();
          if (isFinal(now)) return setLive(false);
        } catch (error) {
          if (gone()) return;
          setLive(false);
          setProblem(error);
          if (error.status === 404 || error.status === 401) return;
        }
        await new Promise((next) => setTimeout(next, 1500));
      }
    })();
    return () => { abort.abort(); timers.forEach(clearTimeout); };
  }, [id, epoch]);

  async function cancel() {
    try {
      setOrder(await api.cancel(id));
      setProblem(null);
      onChange();
      heading.current?.focus();
    } catch (error) {
      setProblem(error);
    }
  }

  const wait = order && waiting(order);
  return (
    <section class="card detail" aria-labelledby="detail-title">
      <div class="row spread">
        <h2 id="detail-title" tabIndex={-1} ref={heading}>Order {order && <Badge status={order.status} />} {live && order && !isFinal(order) && <span class="live">live</span>}</h2>
        <button type="button" class="quiet" onClick={onClose}>Close order</button>
      </div>
      <p><code class="id">{id}</code></p>
      <Trouble problem={problem} />
      {order && <>
        <Steps order={order} history={parts.history} />
        {order.reason && <p>{because(order.reason)}</p>}
        {wait && <p class="wait"><strong>{wait.what}</strong> {wait.until}</p>}
        <dl>
          <div><dt>User</dt><dd>{order.user_id}</dd></div>
          <div><dt>Lines</dt><dd>{order.items.map((line) => `${number(line.quantity)} × ${line.product_id}`).join(", ")}</dd></div>
          <div><dt>Amount</dt><dd>{money(order.amount_minor, order.currency)}</dd></div>
          <div><dt>Tracking id</dt><dd>{order.tracking_id ?? "–"}</dd></div>
          <div><dt>Transaction</dt><dd>{order.txn_id ?? "–"}</dd></div>
        </dl>
        {cancellable(order) && <button type="button" class="danger" onClick={cancel}>Cancel order</button>}
        <Table title="History" heads={["Version", "Status", "Event", "At"]} none="Nothing yet."
          rows={parts.history.map((one) => [one.version, statuses[one.status], <code>{one.event}</code>, time(one.at)])} />
        <Table title="Notifications" heads={["Channel", "Occasion", "Text"]} none="The customer was told nothing yet."
          rows={parts.notifications.map((one) => [one.channel, <code>{one.occasion}</code>, one.text])} />
        <Table title="Charges" heads={["Kind", "Amount", "Transaction", "Asked", "Answered"]} none="Nothing was charged."
          rows={parts.charges.map((one) => [one.kind, money(one.amount_minor, order.currency), <code>{one.txn_id ?? "–"}</code>, one.asked, one.answered])} />
      </>}
    </section>
  );
}
