"""What differs between a wheel and a checkout; all else is in pyproject.toml.

In a checkout, and where it is installed with `pip install -e`, `theory`, `paper` and `benchmarks` are folders
at the top, imported by these names. In a wheel they lie in one folder, `dimat_extras`: names as common as
these are not to be taken in the environment of a user. dimat/cli/extras.py lets commands find them there.
"""

import shutil

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel

FOLDER = "dimat_extras"


def inside(package: str) -> str:
    """The name of a package in a wheel."""
    return package if package.partition(".")[0] == "dimat" else f"{FOLDER}.{package}"


class Wheel(bdist_wheel):
    """A wheel that takes no names at the top but dimat's."""

    def run(self) -> None:
        """Build it, from nothing that an earlier build has left."""
        made = self.distribution
        made.package_dir = {inside(each): each.replace(".", "/") for each in made.packages}
        made.packages = list(made.package_dir)
        made.package_data = {inside(each): files for each, files in made.package_data.items()}
        shutil.rmtree(self.get_finalized_command("build").build_lib, ignore_errors=True)
        self.dist_info_dir = None  # it was made with the names of a checkout
        super().run()


setup(cmdclass={"bdist_wheel": Wheel})
