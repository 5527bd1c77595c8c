// Exits in the middle of a storm, after so many events.
'use strict';
const storm = require('./storm.cjs');

const settings = JSON.parse(process.env.STORM);
let left = settings.events;
storm(settings, () => {
  if (left-- === 0) process.exit(0);
});
