export { default } from "./codecs.js";
