"""PDFs to try `document.extract` on."""
