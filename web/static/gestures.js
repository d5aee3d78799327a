// What pointers do on a chart: drag zooms, a click pins, shift or the middle button pans,
// the wheel zooms with Ctrl, as touchpads report two fingers, and pans sideways; else it
// scrolls the page. On a touch screen one finger pans and two zoom.

// gestures has the plot of a chart move the window of its stack.
export function gestures(stack, u) {
  const over = u.over;
  const at = (clientX) => u.posToVal(clientX - over.getBoundingClientRect().left, "x");
  let from = null, mode = "", start = null;

  over.addEventListener("wheel", (e) => {
    if (!e.ctrlKey && !e.metaKey && !e.shiftKey && Math.abs(e.deltaX) <= Math.abs(e.deltaY)) return;
    const sideways = e.ctrlKey || e.metaKey ? 0 : e.shiftKey ? e.deltaY || e.deltaX : Math.abs(e.deltaX) > Math.abs(e.deltaY) ? e.deltaX : 0;
    const unitOf = e.deltaMode === 1 ? 18 : 1;
    e.preventDefault();
    stack.onTouch?.();
    if (sideways) return stack.pan((sideways * unitOf) / over.clientWidth);
    stack.zoom(Math.exp(Math.max(-0.6, Math.min(0.6, e.deltaY * unitOf * (Math.abs(e.deltaY) < 50 ? 0.01 : 0.0025)))), at(e.clientX));
  }, { passive: false });

  over.addEventListener("dblclick", () => { stack.onTouch?.(); stack.reset(); });

  over.addEventListener("pointerdown", (e) => {
    if (e.pointerType === "touch") {
      stack.touches.set(e.pointerId, e.clientX);
      hold(stack, stack.touches.size > 1 ? "pinch" : "tap");
      return;
    }
    if (e.button > 1) return;
    e.preventDefault();
    stack.body.focus({ preventScroll: true });
    over.setPointerCapture(e.pointerId);
    mode = e.shiftKey || e.button === 1 ? "pan" : "select";
    from = e.clientX;
    start = { win: [...stack.win] };
  });

  over.addEventListener("pointermove", (e) => {
    if (e.pointerType === "touch") return slide(stack, e, over);
    const span = start && start.win[1] - start.win[0], width = over.clientWidth;
    if (mode === "pan") {
      const by = ((from - e.clientX) / width) * span;
      if (Math.abs(from - e.clientX) > 2) stack.onTouch?.();
      stack.show(start.win[0] + by, start.win[1] + by, { keep: false });
    } else if (mode === "select") {
      const left = over.getBoundingClientRect().left;
      const a = Math.max(0, Math.min(from, e.clientX) - left), b = Math.min(width, Math.max(from, e.clientX) - left);
      for (const { plot } of stack.charts) plot?.setSelect({ left: a, width: b - a, top: 0, height: plot.over.clientHeight }, false);
    }
  });

  const end = (e) => {
    if (e.pointerType === "touch") {
      if (!stack.touches.delete(e.pointerId)) return;
      if (stack.held.mode === "tap" && e.type === "pointerup") stack.setCursor(at(e.clientX));
      hold(stack, "swipe"); // the finger that stays goes on from here
      return;
    }
    if (mode === "select") {
      const a = at(Math.min(from, e.clientX)), b = at(Math.max(from, e.clientX));
      const far = Math.abs(e.clientX - from) > 5;
      for (const { plot } of stack.charts) plot?.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      if (far && e.type === "pointerup") { stack.onTouch?.(); stack.show(Math.max(a, stack.win[0]), Math.min(b, stack.win[1]), { wait: 0 }); }
      else if (!far && e.type === "pointerup" && !stack.following) stack.onClick?.(at(e.clientX), u);
    }
    mode = "";
  };
  over.addEventListener("pointerup", end);
  over.addEventListener("pointercancel", end);
}

// hold remembers window and fingers as they are, for slide to move them from.
// The fingers may be on different charts.
function hold(stack, mode) { stack.held = { mode, win: [...stack.win], at: new Map(stack.touches) }; }

// slide moves the window with the fingers: what is under each stays there.
function slide(stack, e, over) {
  if (!stack.touches.has(e.pointerId)) return;
  stack.touches.set(e.pointerId, e.clientX);
  if (stack.held.mode === "tap") {
    if (Math.abs(e.clientX - stack.held.at.get(e.pointerId)) <= 6) return;
    stack.held.mode = "swipe";
  }
  if (stack.following) { stack.onTouch?.(); stack.held.win = [...stack.win]; }
  const { mode, win: [a, b], at } = stack.held, width = over.clientWidth, left = over.getBoundingClientRect().left;
  const scale = (b - a) / width, [one, two] = at.keys();
  if (mode === "swipe") {
    const by = (at.get(one) - stack.touches.get(one)) * scale;
    return stack.show(a + by, b + by, { keep: false });
  }
  const p = at.get(one), q = at.get(two), p1 = stack.touches.get(one), q1 = stack.touches.get(two);
  const factor = Math.max(8, Math.abs(p - q)) / Math.max(24, Math.abs(p1 - q1));
  const from = a + ((p + q) / 2 - left) * scale - ((p1 + q1) / 2 - left) * scale * factor;
  stack.show(from, from + (b - a) * factor, { keep: false });
}
