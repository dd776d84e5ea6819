/** A swipe to the left over the picture, which a finger does on purpose: it needs no second press. */

/** How far a finger has to move (CSS pixels), and how long it may take (milliseconds). */
const FAR_PX = 90;
const SWIPE_MS_MAX = 900;

/** @param act is called after a swipe that began on none of the controls. */
export function bindSwipe(area: HTMLElement, act: () => void): void {
  let from: { id: number; x: number; y: number; at: number } | undefined;

  area.addEventListener("pointerdown", (event) => {
    const onControl =
      event.target instanceof Element &&
      event.target.closest("button, input, label, select, a, .chat, .stats");
    from =
      event.pointerType === "touch" && event.isPrimary && !onControl
        ? { id: event.pointerId, x: event.clientX, y: event.clientY, at: event.timeStamp }
        : undefined;
  });
  area.addEventListener("pointercancel", () => void (from = undefined));
  area.addEventListener("pointerup", (event) => {
    if (from?.id !== event.pointerId) return;
    const right = event.clientX - from.x;
    const down = Math.abs(event.clientY - from.y);
    const isQuick = event.timeStamp - from.at < SWIPE_MS_MAX;
    from = undefined;
    if (isQuick && right < -FAR_PX && down < -right / 2) act();
  });
}
