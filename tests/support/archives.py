"""Archives of this repository, unpacked as `tar` does it."""

import tarfile


def unpack_all(path, folder):
    """Everything in an archive that we made; filters of members are not in every Python 3.11."""
    with tarfile.open(path) as archive:
        archive.extraction_filter = lambda member, folder: member
        archive.extractall(folder)
