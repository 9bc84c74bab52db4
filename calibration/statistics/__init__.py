"""What fits share: least squares, robust means, covariances from residuals, figures with error bars."""
