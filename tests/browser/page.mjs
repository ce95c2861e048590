// node page.mjs OPEN-URL GUARDED-URL TOKEN PICTURES: a person at the page, in headless Chromium. Started by tests/end_to_end/page,
// which has put an oak-desk (10, 450.00 EUR) on both nodes. Every sentence is printed once it holds.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";

const tools = createRequire(process.env.CARTWRIGHT_TEST_NODE_TOOLS + "/");
const { chromium } = tools("playwright-core");
const axe = tools.resolve("axe-core/axe.min.js");
const [open, guarded, secret, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
});
const holds = (sentence) => console.log(`ok ${sentence}`);

async function visit(url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(40_000);
  const requests = [], errors = [];
  page.on("request", (request) => requests.push(request));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error" && !/status of (4\d\d|503)/.test(message.text())) errors.push(message.text()); });
  await page.goto(url);
  await page.getByRole("heading", { name: "Cartwright" }).waitFor();
  const leave = async () => {
    const outside = requests.map((request) => request.url()).filter((one) => new URL(one).origin !== new URL(url).origin);
    assert.deepEqual(outside, [], "no request goes anywhere else");
    assert.deepEqual(errors, [], "the browser has nothing to complain of, the content security policy included");
    await context.close();
  };
  return { page, requests, leave };
}

async function accessible(page, what) {
  // The policy forbids a script tag; the driver's evaluation is not bound by it.
  const { readFileSync } = await import("node:fs");
  await page.evaluate(readFileSync(axe, "utf8"));
  const found = await page.evaluate(() => window.axe.run(document));
  const told = found.violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).join(" ").slice(0, 400)}`);
  assert.deepEqual(told, [], `axe-core finds nothing wrong with ${what}`);
  assert.ok(found.passes.length > 15, "axe-core has looked");
  holds(`axe-core finds nothing wrong with ${what}`);
}

const detail = (page) => page.locator(".detail");
const shows = async (page, status) => detail(page).locator("h2 .badge", { hasText: new RegExp(`^${status}$`) }).waitFor();

async function place(page, product, quantity, payment = "") {
  const before = page.url();
  await page.getByLabel("Product", { exact: true }).fill(product);
  await page.getByLabel("Quantity").fill(String(quantity));
  await page.getByLabel("Payment token").selectOption(payment);
  await page.getByRole("button", { name: "Place order" }).click();
  await page.waitForURL((url) => url.href !== before && url.hash.startsWith("#/orders/"));
}

try {
  { // -- light --
    const { page, requests, leave } = await visit(open, { colorScheme: "light" });
    await page.getByText("No orders yet").waitFor();
    await page.getByRole("cell", { name: "oak-desk" }).waitFor();
    await page.screenshot({ path: `${pictures}/empty-light.png`, fullPage: true });
    await accessible(page, "the page without orders");

    await page.getByLabel("Product id").fill("desk-lamp");
    await page.getByLabel("Name").fill("Desk lamp");
    await page.getByLabel("On hand").fill("5");
    await page.getByLabel("Price").fill("89.90");
    await page.getByRole("button", { name: "Set stock" }).click();
    const row = page.getByRole("row", { name: /desk-lamp/ });
    await row.waitFor();
    assert.match(await row.innerText(), /89\.90 EUR\s+5\s+0\s+0/);
    holds("stock is set, with its price in minor units");

    await page.getByLabel("Price").fill("1.234");
    await page.getByRole("button", { name: "Set stock" }).click();
    await page.getByRole("alert").filter({ hasText: "Not a price" }).waitFor();
    holds("a price with too many decimals is refused with a reason");

    await place(page, "oak-desk", 2);
    await shows(page, "Shipped");
    await detail(page).getByText("order.tracking.updated").first().waitFor();
    await detail(page).getByText("900.00 EUR").first().waitFor();
    const streams = requests.filter((request) => /\/events$/.test(request.url()));
    assert.ok(streams.length >= 1, "the order is followed by its stream");
    assert.ok(await page.evaluate(() => document.activeElement.id === "detail-title"), "the focus is on the order");
    await page.getByRole("status").filter({ hasText: "Shipped" }).waitFor({ state: "attached" });
    holds("an order reaches shipped live, with history and amount, and is said aloud");
    await detail(page).getByRole("cell", { name: "charge", exact: true }).waitFor();
    await detail(page).getByText("inventory.reserved").first().waitFor();
    await page.screenshot({ path: `${pictures}/shipped-light.png`, fullPage: true });
    await accessible(page, "a shipped order");

    await place(page, "oak-desk", 1000);
    await shows(page, "Cancelled");
    await detail(page).getByText("There was not enough stock.").waitFor();
    holds("out of stock is said");

    await place(page, "oak-desk", 1, "tok_declined");
    await shows(page, "Payment failed");
    holds("a declined payment is said");

    await place(page, "oak-desk", 1, "tok_never");
    await detail(page).getByText("Waiting for payment to answer.").waitFor();
    await page.screenshot({ path: `${pictures}/waiting-light.png`, fullPage: true });
    await detail(page).getByRole("button", { name: "Cancel order" }).click();
    await shows(page, "Cancelled");
    await detail(page).getByText("Somebody asked for it.").waitFor();
    holds("an order that waits says for what, and is cancelled");

    await page.getByLabel("User").fill("not valid");
    await page.getByRole("button", { name: "Place order" }).click();
    await page.getByRole("alert").filter({ hasText: /user_id/ }).first().waitFor();
    assert.equal(await page.getByLabel("User").getAttribute("aria-invalid"), "true");
    holds("a refusal is shown, and its field marked");
    await page.getByLabel("User").fill("ada");

    await page.getByRole("button", { name: "+ Add a line" }).click();
    await page.locator("#product-1").fill("desk-lamp");
    await page.locator("#quantity-1").fill("2");
    await page.getByLabel("Payment token").selectOption("");
    await page.getByRole("button", { name: "Place order" }).click();
    await detail(page).getByText("1 × oak-desk, 2 × desk-lamp").waitFor();
    await shows(page, "Shipped");
    holds("an order of several lines ships");

    await page.getByLabel("Status").selectOption("payment_failed");
    await page.locator("[aria-label='Table of orders'] tbody tr").nth(1).waitFor({ state: "detached" });
    assert.equal(await page.locator("[aria-label='Table of orders'] tbody tr").count(), 1);
    holds("the list is filtered by status");
    await leave();
  }
  { // -- dark --
    const { page, leave } = await visit(open, { colorScheme: "dark" });
    await page.getByRole("link", { name: /^Order / }).first().click();
    await detail(page).getByRole("heading", { name: "History" }).waitFor();
    await detail(page).locator("tbody tr").first().waitFor();
    await page.screenshot({ path: `${pictures}/order-dark.png`, fullPage: true });
    await accessible(page, "the dark page");
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const dark = await ground();
    await page.getByLabel("Theme").selectOption("light");
    assert.notEqual(await ground(), dark);
    await page.reload();
    await page.getByRole("heading", { name: "Cartwright" }).waitFor();
    assert.notEqual(await ground(), dark);
    holds("dark follows the system, and the switch stays");
    await leave();
  }
  { // -- narrow --
    const { page, leave } = await visit(open, { viewport: { width: 360, height: 740 } });
    await page.getByRole("link", { name: /^Order / }).first().click();
    await detail(page).locator("tbody tr").first().waitFor();
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "nothing sticks out at 360 pixels");
    await page.screenshot({ path: `${pictures}/narrow.png`, fullPage: true });
    await accessible(page, "the narrow page");
    await leave();
  }
  { // -- the keyboard alone --
    const { page, leave } = await visit(open);
    const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
    const tabTo = async (wanted) => {
      for (let i = 0; i < 60 && (await focused()) !== wanted; i++) await page.keyboard.press("Tab");
      assert.equal(await focused(), wanted, `Tab comes to ${wanted}`);
    };
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Skip to the content");
    await page.keyboard.press("Enter");
    assert.equal(await focused(), "main");
    await tabTo("product-0");
    await page.keyboard.type("oak-desk");
    await tabTo("payment");
    await page.keyboard.type("tok_never");
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Place order");
    await page.keyboard.press("Enter");
    await detail(page).getByText("Waiting for payment to answer.").waitFor();
    assert.equal(await focused(), "detail-title");
    await tabTo("Cancel order");
    await page.keyboard.press("Enter");
    await shows(page, "Cancelled");
    holds("an order is placed and cancelled with the keyboard alone");
    await leave();
  }
  { // -- tokens --
    const { page, leave } = await visit(guarded);
    const dialog = page.getByRole("dialog", { name: "Bearer token" });
    await dialog.getByText("This node asks for a token").waitFor();
    await page.screenshot({ path: `${pictures}/token.png` });
    await accessible(page, "the dialog for the token");
    await page.getByLabel("Token", { exact: true }).fill("wrong");
    await page.keyboard.press("Enter");
    await dialog.getByText("does not know the one that you gave").waitFor();
    await page.getByLabel("Token", { exact: true }).fill(secret);
    await page.keyboard.press("Enter");
    await dialog.waitFor({ state: "detached" });
    await place(page, "oak-desk", 1);
    await shows(page, "Shipped");
    assert.deepEqual(await page.evaluate((one) => [Object.values(sessionStorage).includes(one), Object.values(localStorage).includes(one), document.cookie], secret), [true, false, ""]);
    holds("a node with tokens is asked with one, also for its streams, and the token stays in the session's storage");
    await leave();
  }
  holds("no request went outside, and the browser had no complaint");
} catch (error) {
  for (const context of browser.contexts()) for (const page of context.pages()) await page.screenshot({ path: `${pictures}/failed.png`, fullPage: true }).catch(() => {});
  console.log(String(error.stack ?? error));
  process.exitCode = 1;
} finally {
  await browser.close();
}
