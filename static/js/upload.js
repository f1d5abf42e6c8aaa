// The upload form: a list of what was chosen, limits told before the upload, progress. One request runs at a time.

const MEGABYTE = 1e6;

export function enhanceUpload(form, showAnswer) {
  const input = form.querySelector('input[type=file]');
  const status = form.querySelector('[data-status]');
  const progress = form.querySelector('[data-progress]');
  const say = (text) => { status.textContent = text; };

  input.addEventListener('change', () => {
    list(form.querySelector('[data-chosen]'), input.files);
    say(problem(form, input.files));
  });

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (isBusy(form)) return;
    const sample = event.submitter?.name === 'sample';
    const trouble = sample ? '' : problem(form, input.files) || (input.files.length ? '' : 'Choose a file first, or drop one here.');
    if (trouble) {
      say(trouble);
      input.focus();
    } else {
      const fields = new FormData(form, event.submitter);
      if (sample) fields.delete('files');
      send(form, fields, { say, progress, showAnswer, submitter: event.submitter });
    }
  });
}

function problem(form, files) {
  const { maxFile, maxUpload, maxFiles } = form.dataset;
  const total = [...files].reduce((sum, file) => sum + file.size, 0);
  if (files.length > maxFiles) return `Only ${maxFiles} files are read at a time; ${files.length} were chosen.`;
  if (total > maxUpload) return `Together the files are ${megabytes(total)}; ${megabytes(maxUpload)} are read at a time.`;
  const large = [...files].find((file) => file.size > maxFile);
  return large ? `${large.name} is ${megabytes(large.size)}; files of up to ${megabytes(maxFile)} are read.` : '';
}

export function list(element, files) {
  element.replaceChildren(...[...files].map((file) => {
    const item = document.createElement('li');
    const size = document.createElement('span');
    size.textContent = megabytes(file.size);
    item.append(file.name, size);
    return item;
  }));
  element.hidden = files.length === 0;
}

const isBusy = (form) => form.hasAttribute('aria-busy');

function send(form, fields, { say, progress, showAnswer, submitter }) {
  const count = fields.getAll('files').length || 1;
  const bar = progress.querySelector('progress');
  const cancel = progress.querySelector('[data-cancel]');
  const starters = [...form.querySelectorAll('button')].filter((button) => button !== cancel);
  const request = new XMLHttpRequest();
  const settle = (text) => {
    const focused = document.activeElement === cancel;
    form.removeAttribute('aria-busy');
    for (const button of starters) button.disabled = false;
    progress.hidden = true;
    if (focused) submitter?.focus();
    say(text);
  };
  request.open('POST', form.action);
  request.responseType = 'document';
  request.upload.addEventListener('progress', ({ loaded, total }) => { bar.value = total ? loaded / total : 0; });
  request.upload.addEventListener('load', () => {
    bar.removeAttribute('value');
    say(count === 1 ? 'Reading the slice …' : `Reading ${count} files …`);
  });
  request.addEventListener('load', () => {
    settle('');
    if (request.response?.querySelector('main')) showAnswer(request.response);
    else say(`The server answered ${request.status} and nothing to show. Try again.`);
  });
  request.addEventListener('error', () => settle('The server could not be reached. Check the connection and try again.'));
  request.addEventListener('abort', () => settle('Cancelled.'));
  cancel.onclick = () => request.abort();
  form.setAttribute('aria-busy', 'true');
  progress.hidden = false;
  progress.scrollIntoView({ block: 'nearest' });
  cancel.focus({ preventScroll: true });
  for (const button of starters) button.disabled = true;
  bar.value = 0;
  say('Uploading …');
  request.send(fields);
}

export const megabytes = (bytes) => `${(bytes / MEGABYTE).toFixed(bytes < MEGABYTE / 10 ? 2 : 1)} MB`;
