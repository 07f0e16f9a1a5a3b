"""Files in, files out: PAGE, ALTO and their images become `Page`; readings become files."""
