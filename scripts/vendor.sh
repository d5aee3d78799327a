#!/usr/bin/env bash
# Copies the page's libraries, at the versions that web/package-lock.json pins,
# into web/vendor, where they are committed and embedded. Needs npm; run it
# after changing a version in web/package.json.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../web"
npm ci --no-audit --no-fund --loglevel=error
package=node_modules/uplot
mkdir -p vendor
# The published minified file defines a global; one more line makes it a module.
{
	cat "$package/dist/uPlot.iife.min.js"
	printf 'export default uPlot;\n'
} >vendor/uplot.js
cp "$package/dist/uPlot.min.css" vendor/uplot.css
cp "$package/LICENSE" vendor/uplot.LICENSE
rm -rf node_modules
