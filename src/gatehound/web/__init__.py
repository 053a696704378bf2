"""What gatehound itself says over HTTP: answers, and headers on the app's responses."""
