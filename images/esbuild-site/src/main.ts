import { greeting } from "./greeting";

const target: HTMLElement | null = document.querySelector("#greeting");
if (target !== null) {
  target.textContent = greeting(new Date().getHours());
}
