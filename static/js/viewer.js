// The viewer of one file: the opacity of the mask, and one slice at a time with a strip to choose from.

export function enhanceViewers(root) {
  for (const viewer of root.querySelectorAll('[data-viewer]')) {
    enhanceOpacity(viewer);
    enhanceStrip(viewer);
  }
}

function enhanceOpacity(viewer) {
  const slider = viewer.querySelector('[data-opacity]');
  if (!slider) return;
  const show = () => {
    viewer.style.setProperty('--mask-opacity', slider.value / 100);
    slider.parentElement.querySelector('output').textContent = `${slider.value} %`;
    slider.setAttribute('aria-valuetext', `${slider.value} percent`);
  };
  slider.addEventListener('input', show);
  show();
}

function enhanceStrip(viewer) {
  const strip = viewer.querySelector('[data-strip]');
  if (!strip) return;
  const frames = [...viewer.querySelectorAll('[data-frame]')];
  const links = [...strip.querySelectorAll('a')];
  const show = (link) => {
    for (const frame of frames) frame.hidden = `#${frame.id}` !== link.hash;
    for (const other of links) {
      if (other === link) other.setAttribute('aria-current', 'true');
      else other.removeAttribute('aria-current');
    }
    strip.scrollLeft = link.offsetLeft - strip.clientWidth / 2;
  };
  strip.addEventListener('click', (event) => {
    const link = event.target.closest('a');
    if (!link) return;
    event.preventDefault();
    show(link);
  });
  strip.addEventListener('keydown', (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const next = step && links[links.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
    show(next);
  });
  show(links.find((link) => link.hash === `#${frames[0].id}`)); // the first frame is the most suspicious slice
}
