// What all pages with charts have: a window that Back undoes, cursors that stay, and an
// address that says both, so that it opens just this view.

import { h, icon } from "./dom.js";
import { setParams } from "./router.js";

const SETTLED = 300; // ms without a move of the window, after which the address follows

export class Bench {
  // node is where the values at the cursors are shown; to is what Cursors are told.
  // address() gives what else of the page stands in its address; failed(err) tells
  // what could not be loaded.
  constructor(stack, node, { to = {}, address, failed }) {
    Object.assign(this, { stack, node, to, address, failed });
    node.hidden = true;
    this.button = h("button", { type: "button", class: "button secondary", "aria-label": "Values of all channels", title: "Values of all channels", "aria-pressed": "false", on: { click: () => this.cursors((cursors) => cursors.show(!cursors.open)) } }, icon("list"));
    stack.onClick = (x, plot) => this.cursors((cursors) => cursors.click(x, plot));
    stack.onPin = () => this.cursors((cursors) => cursors.pin(stack.cursorAt ?? undefined));
    stack.onBack = () => this.back();
    stack.guests.push(this);
  }

  destroy() {
    this.gone = true;
    clearTimeout(this.due);
    this.pinned?.destroy();
  }

  get pins() { return this.pinned?.pins || []; }

  // open takes what an address says before anything is drawn, and tells whether it has a window.
  open(params) {
    const win = this.windowOf(params), pins = (params.get("cursor") || "").split(",").filter(Boolean).map(Number).filter(Number.isFinite).slice(0, 2);
    if (win) this.stack.win = win;
    if (pins.length || params.has("values")) this.cursors((cursors) => { cursors.show(true); cursors.set(pins); });
    return !!win;
  }

  windowOf(params) {
    const from = Number(params.get("from")), to = Number(params.get("to")), [lo, hi] = this.stack.extent;
    return params.has("from") && to > from && from < hi ? [Math.max(lo, from), Math.min(hi, to)] : null;
  }

  // window is told that the charts show another part, by a step that Back undoes, or
  // by moving along.
  window(step) {
    this.step ||= step;
    clearTimeout(this.due);
    this.due = setTimeout(() => this.write(), SETTLED);
  }

  write() {
    clearTimeout(this.due);
    this.due = 0;
    const [from, to] = this.stack.whole ? [] : this.stack.win.map((v) => v.toFixed(3));
    setParams({ from, to }, this.step);
    this.step = false;
  }

  back() {
    if (this.due) this.write();
    if (history.state?.step) history.back();
  }

  // turn goes to the window of another address of this page; what else was chosen since stays.
  turn(params) {
    clearTimeout(this.due);
    this.step = false;
    const win = this.windowOf(params);
    if (win) this.stack.onTouch?.();
    if (win || !this.stack.following) this.stack.show(...(win || this.stack.extent), { keep: false, wait: 0 });
    setParams({ ...this.address?.(), ...this.said() });
  }

  said() { return { cursor: this.pins.map((x) => x.toFixed(3)).join(), values: this.pinned?.open ? 1 : null }; }

  // cursors has work done with those that stay, which are made when they are asked for.
  cursors(work) {
    this.loading ??= import("./cursors.js");
    this.loading = this.loading.then((module) => { // one after another, as they were asked for
      const { Cursors } = module;
      if (this.gone) return module;
      this.pinned ??= new Cursors(this.stack, this.node, {
        ...this.to,
        changed: () => {
          this.button.setAttribute("aria-pressed", String(this.pinned.open));
          setParams(this.said());
          this.to.changed?.();
        },
      });
      work(this.pinned);
      return module;
    });
    this.loading.catch((err) => { this.loading = null; this.failed(err); });
  }
}
