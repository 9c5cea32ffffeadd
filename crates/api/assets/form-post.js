// Sends the response to the app without a click; the button is for browsers without scripts.
document.getElementById("answer").submit();
