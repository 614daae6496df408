// Runs in CloudFront before its cache (cloudfront-js-2.0): addresses of the page, such as /places/r-7, are no files,
// and all of them are index.html. A name with a dot is a file: what is missing is answered 404, and not with the page.
function handler(event) {
  const request = event.request;
  const last = request.uri.slice(request.uri.lastIndexOf("/") + 1);
  if (!last.includes(".")) {
    request.uri = "/index.html";
  }
  return request;
}
