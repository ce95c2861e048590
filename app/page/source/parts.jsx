import { useEffect, useRef } from "preact/hooks";
import { failed, statuses } from "./words.js";

/** A labelled control; `wrong` is said with it. The child is a function of what ties it to label and error. */
export function Field({ id, label, hint, wrong, children }) {
  const described = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, "aria-describedby": described || undefined, "aria-invalid": wrong ? "true" : undefined })}
      {hint && <small id={`${id}-hint`}>{hint}</small>}
      {wrong && <small id={`${id}-wrong`} class="wrong">{wrong}</small>}
    </div>
  );
}

export function Trouble({ problem }) {
  return (
    <div role="alert">
      {problem && <p class="trouble"><strong>{problem.title}.</strong> {problem.detail}</p>}
    </div>
  );
}

export const Badge = ({ status }) => (
  <span class={`badge ${failed(status) ? "bad" : ["shipped", "delivered"].includes(status) ? "good" : "open"}`}>{statuses[status] ?? status}</span>
);

/** A modal dialog of the browser's own: it keeps the focus, closes on Escape, and gives the focus back. */
export function Dialog({ title, onClose, children }) {
  const box = useRef();
  useEffect(() => {
    if (!box.current.open) box.current.showModal();
  }, []);
  return (
    <dialog ref={box} aria-labelledby="dialog-title" onClose={onClose}>
      <h2 id="dialog-title">{title}</h2>
      {children(() => box.current.close())}
    </dialog>
  );
}
