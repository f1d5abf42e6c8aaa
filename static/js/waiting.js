// Follows the reading of a study; when it ends, the page is loaded again and shows what came of it.

const EVERY_MS = 400;

const section = document.querySelector('[data-waiting]');
if (section) follow(section);

function follow(waiting) {
  const bar = waiting.querySelector('progress');
  const said = waiting.querySelector('[data-waiting-said]');
  const left = waiting.querySelector('[data-waiting-left]');
  const look = async () => {
    try {
      const answer = await fetch(waiting.dataset.address);
      const state = answer.ok ? await answer.json() : { state: 'gone' };
      if (state.state !== 'queued' && state.state !== 'running') {
        location.reload();
        return;
      }
      bar.value = state.share;
      if (state.message && said.textContent !== state.message) said.textContent = state.message;
      left.textContent = state.seconds_left === null ? '' : `about ${state.seconds_left} s left`;
    } catch {
      left.textContent = 'The server could not be reached; trying again.';
    }
    setTimeout(look, EVERY_MS);
  };
  setTimeout(look, EVERY_MS);
}
