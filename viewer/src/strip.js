// The scroll bar of a stack: one line a slice, as long as its probability of any hemorrhage and in the colour of its
// finding. A click, a drag or a finger goes to that slice.

export class Strip {
  #element;
  #lines;

  constructor(element, study, go) {
    this.#element = element;
    this.#lines = study.outline.slices.map(({ probabilities, finding }) => {
      const line = document.createElement('i');
      line.dataset.finding = finding;
      line.style.setProperty('--probability', probabilities.any ?? 0);
      return line;
    });
    element.replaceChildren(...this.#lines);
    element.setAttribute('aria-valuemax', study.count);
    const goTo = ({ clientY }) => {
      const { top, height } = element.getBoundingClientRect();
      go(1 + Math.floor(((clientY - top) / height) * study.count));
    };
    element.addEventListener('pointerdown', (event) => {
      element.setPointerCapture(event.pointerId);
      goTo(event);
    });
    element.addEventListener('pointermove', (event) => {
      if (event.buttons) goTo(event);
    });
  }

  mark(number) {
    for (const line of this.#element.querySelectorAll('.here')) line.classList.remove('here');
    this.#lines[number - 1].classList.add('here');
    this.#element.setAttribute('aria-valuenow', number);
    this.#element.setAttribute('aria-valuetext', `Slice ${number} of ${this.#lines.length}`);
  }
}
