"""`python -m mnist_diffusion`"""

from mnist_diffusion.cli import main

main()
