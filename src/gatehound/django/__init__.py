"""What Django needs of us beyond the middleware: put "gatehound.django" into INSTALLED_APPS."""
