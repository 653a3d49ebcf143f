"""VOTable documents as astropy tables."""
