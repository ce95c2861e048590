import { Badge } from "./parts.jsx";
import { money, number, statuses, time } from "./words.js";

export function Orders({ page, filter, onFilter, onMore, selected }) {
  return (
    <section class="card" aria-labelledby="orders-title">
      <div class="row spread">
        <h2 id="orders-title">Orders</h2>
        <div class="row">
          <label for="filter">Status</label>
          <select id="filter" value={filter.status} onChange={(e) => onFilter({ status: e.target.value })}>
            <option value="">All</option>
            {Object.entries(statuses).map(([value, text]) => <option key={value} value={value}>{text}</option>)}
          </select>
        </div>
      </div>
      {page && page.items.length === 0 && <p class="empty">{filter.status ? "No order has this status." : "No orders yet. Place one: it shows up here and goes through its steps live."}</p>}
      {page && page.items.length > 0 && <div class="scroll" tabIndex={0} role="region" aria-label="Table of orders"><table>
        <thead><tr><th scope="col">Order</th><th scope="col">Status</th><th scope="col">Lines</th><th scope="col">User</th><th scope="col" class="num">Amount</th><th scope="col">Placed</th></tr></thead>
        <tbody>{page.items.map((order) => (
          <tr key={order.order_id} class={order.order_id === selected ? "selected" : ""}>
            <td><a href={`#/orders/${encodeURIComponent(order.order_id)}`} title={order.order_id}><span class="hidden">Order </span><code>…{order.order_id.slice(-8)}</code></a></td>
            <td><Badge status={order.status} /></td>
            <td>{order.items.map((line) => `${number(line.quantity)} × ${line.product_id}`).join(", ")}</td>
            <td>{order.user_id}</td>
            <td class="num">{money(order.amount_minor, order.currency)}</td>
            <td>{time(order.created_at)}</td>
          </tr>))}</tbody>
      </table></div>}
      <div class="row">
        {filter.page_token && <button type="button" class="quiet" onClick={() => onMore("")}>First page</button>}
        {page?.next_page_token && <button type="button" class="quiet" onClick={() => onMore(page.next_page_token)}>Next page</button>}
      </div>
    </section>
  );
}

export function Products({ page, onMore, first }) {
  return (
    <section class="card" aria-labelledby="products-title">
      <h2 id="products-title">Products</h2>
      <datalist id="products">{(page?.items ?? []).map((one) => <option key={one.product_id} value={one.product_id}>{one.name}</option>)}</datalist>
      {page && page.items.length === 0 && <p class="empty">No products yet. Set the stock of one, and it can be ordered.</p>}
      {page && page.items.length > 0 && <div class="scroll" tabIndex={0} role="region" aria-label="Table of products"><table>
        <thead><tr><th scope="col">Product</th><th scope="col" class="num">Price</th><th scope="col" class="num">Available</th><th scope="col" class="num">Reserved</th><th scope="col" class="num">Sold</th></tr></thead>
        <tbody>{page.items.map((one) => (
          <tr key={one.product_id}><td>{one.name && <>{one.name} </>}<code>{one.product_id}</code></td><td class="num">{money(one.price_minor, one.currency)}</td>
            <td class="num">{number(one.available)}</td><td class="num">{number(one.reserved)}</td><td class="num">{number(one.sold)}</td></tr>))}</tbody>
      </table></div>}
      <div class="row">
        {!first && <button type="button" class="quiet" onClick={() => onMore("")}>First page</button>}
        {page?.next_page_token && <button type="button" class="quiet" onClick={() => onMore(page.next_page_token)}>Next page</button>}
      </div>
    </section>
  );
}
