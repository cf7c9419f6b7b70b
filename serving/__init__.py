"""The service: a loaded model (`slot`, `core`), the protocols that speak for it (`codecs`), pages for people."""
