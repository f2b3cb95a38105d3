/* Draws boxes on the picture of a held object. Each becomes a checkbox of the form, so that the form says all there
   is, with or without this script; its numbers are pixels of the object, whatever the size on the screen. */
"use strict";

const picture = document.getElementById("picture");
const drawn = document.getElementById("drawn");
const sides = ["left", "top", "width", "height"].map((name) => document.getElementById(name));
const columns = picture.viewBox.baseVal.width;
const rows = picture.viewBox.baseVal.height;
const SMALLEST = 3; // a click that slipped is no box

function shape(kind) {
  const group = picture.appendChild(document.createElementNS(picture.namespaceURI, "g"));
  group.appendChild(document.createElementNS(picture.namespaceURI, "rect")).setAttribute("class", `box ${kind}`);
  return group;
}

function put(group, box) {
  ["x", "y", "width", "height"].forEach((name, at) => group.firstChild.setAttribute(name, box[at]));
}

function fits([left, top, width, height]) {
  return left >= 0 && top >= 0 && width >= 1 && height >= 1 && left + width <= columns && top + height <= rows;
}

/* A checkbox and its rectangle: unchecked, the rectangle fades; clicked, the checkbox changes. */
function join(input, group) {
  const show = () => group.classList.toggle("off", !input.checked);
  input.addEventListener("change", show);
  show();
}

function listed(box) {
  const input = document.createElement("input");
  Object.assign(input, { type: "checkbox", name: "box", value: box.join(","), checked: true });
  const words = document.createElement("span");
  words.className = "place";
  words.textContent = `${box[0]}, ${box[1]} · ${box[2]} × ${box[3]}`;
  const label = document.createElement("label");
  label.append(input, " ", words);
  drawn.appendChild(document.createElement("li")).append(label);
  return input;
}

function add(box) {
  if (!fits(box) || drawn.children.length >= Number(picture.dataset.most)) return false;
  const group = shape("own");
  put(group, box);
  join(listed(box), group);
  return true;
}

/* From a point on the screen to a pixel of the object, kept inside the picture. */
function pixel(event) {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(picture.getScreenCTM().inverse());
  return [Math.min(Math.max(Math.round(at.x), 0), columns), Math.min(Math.max(Math.round(at.y), 0), rows)];
}

function between([x0, y0], [x1, y1]) {
  return [Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0), Math.abs(y1 - y0)];
}

let start = null;
const rubber = shape("own");

function end(event) {
  if (start === null) return;
  const box = between(start, pixel(event));
  start = null;
  put(rubber, [0, 0, 0, 0]);
  if (event.type === "pointerup" && box[2] >= SMALLEST && box[3] >= SMALLEST) add(box);
}

picture.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !event.isPrimary) return;
  event.preventDefault();
  picture.setPointerCapture(event.pointerId);
  start = pixel(event);
});
picture.addEventListener("pointermove", (event) => {
  if (start !== null) put(rubber, between(start, pixel(event)));
});
picture.addEventListener("pointerup", end);
picture.addEventListener("pointercancel", end);

/* The number fields show their box while they are filled in. */
const typed = shape("own");
function numbers() {
  return sides.map((input) => (input.value === "" ? -1 : Number(input.value)));
}
for (const input of sides) {
  input.addEventListener("input", () => put(typed, fits(numbers()) ? numbers() : [0, 0, 0, 0]));
}
document.getElementById("add").addEventListener("click", () => {
  if (!add(numbers())) {
    const wrong = sides.find((input) => input.value === "" || !input.checkValidity()) || sides[2];
    wrong.focus();
    wrong.reportValidity();
    return;
  }
  put(typed, [0, 0, 0, 0]);
  for (const input of sides) input.value = "";
  sides[0].focus();
});

for (const input of document.querySelectorAll("input[name=proposed]")) {
  join(input, picture.querySelector(`g[data-number="${input.value}"]`));
}
for (const input of drawn.querySelectorAll("input")) {
  const group = shape("own");
  put(group, input.value.split(",").map(Number));
  join(input, group);
}
document.getElementById("add").hidden = false;
document.getElementById("how").hidden = false;
picture.classList.add("live");
