"""The paper over all studies of a folder of configurations, a catalogue: typeset from records, in one PDF."""
