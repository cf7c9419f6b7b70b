"""One thin file a stage: config in, calls into `sluice`, a result out."""
