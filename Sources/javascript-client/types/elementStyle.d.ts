/** The style sheet that all elements of the page share. A content security policy does not apply to it. */
export function elementStyle(): CSSStyleSheet;
