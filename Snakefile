# The pipeline lies in workflow/, where workflow catalogues look for it; people call it from here.
include: "workflow/Snakefile"


# What is included leaves the target as it was.
workflow.default_target = "all"
