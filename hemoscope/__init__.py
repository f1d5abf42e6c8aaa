"""The core of Hemoscope: arrays in, arrays out. No Flask, no Keras, no database, no network."""
