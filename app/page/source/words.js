// What the page says about statuses, waits and money.

export const statuses = {
  pending: "Pending", inventory_reserved: "Reserved", paid: "Paid", shipped: "Shipped", delivered: "Delivered",
  cancelled: "Cancelled", payment_failed: "Payment failed", refunded: "Refunded",
};
export const steps = ["pending", "inventory_reserved", "paid", "shipped"];
export const failed = (status) => ["cancelled", "payment_failed", "refunded"].includes(status);
export const isFinal = (order) => !order.waiting_for && (failed(order.status) || ["shipped", "delivered"].includes(order.status));
export const cancellable = (order) => ["pending", "inventory_reserved"].includes(order.status);

const reasons = {
  out_of_stock: "There was not enough stock.", requested: "Somebody asked for it.", expired: "An answer did not come in time.",
  mixed_currency: "Its lines have different currencies.", partial_answer: "Inventory reserved other lines than were ordered.",
  too_late: "It was placed after its first events had been given up.",
};
export const because = (reason) => (reason ? reasons[reason] ?? `Reason: ${reason}.` : "");

const waits = {
  inventory: ["Waiting for inventory to reserve the stock.", "then it is cancelled (expired)"],
  payment: ["Waiting for payment to answer.", "then it is cancelled (expired), and what was taken goes back"],
  shipping: ["Waiting for shipping to name a tracking id.", "then it asks again"],
  "stock release": ["Its stock is on the way back.", "then it asks again"],
  refund: ["Its money is on the way back.", "then it asks again"],
  "stock release, refund": ["Its stock and its money are on the way back.", "then it asks again"],
};
/** Why an order does not move now, and what happens next by itself. */
export function waiting(order) {
  if (!order.waiting_for) return null;
  const [what, then] = waits[order.waiting_for] ?? [`Waiting for ${order.waiting_for}.`, "then it goes on"];
  return { what, until: order.waiting_until && `Until ${time(order.waiting_until)}; ${then}.` };
}

export const tokens = [
  ["", "Accepted"], ["tok_declined", "tok_declined: a definite no"], ["tok_timeout", "tok_timeout: charged, answers late"],
  ["tok_error", "tok_error: fails twice, then works"], ["tok_never", "tok_never: never answers"],
];

export const time = (moment) => new Date(moment).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const number = (value) => value.toLocaleString();

const digits = (currency) => {
  try { return new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits; } catch { return 2; }
};
export function money(minor, currency) {
  if (minor === null || minor === undefined) return "–";
  if (!currency) return number(minor);
  const places = digits(currency);
  return `${(minor / 10 ** places).toLocaleString([], { minimumFractionDigits: places, maximumFractionDigits: places })} ${currency}`;
}
/** A price as typed ("450" or "449.90") in minor units; null when it is none. */
export function minor(text, currency) {
  const places = digits(currency);
  const match = /^(\d{1,13})(?:[.,](\d*))?$/.exec(text.trim());
  if (!match || (match[2] ?? "").length > places) return null;
  return Number(match[1] + (match[2] ?? "").padEnd(places, "0"));
}
