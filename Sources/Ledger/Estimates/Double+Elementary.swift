/// Logarithm, exponential and the normal distribution, alike on every machine.
///
/// The standard library has none of them, and those of the C libraries differ in the last bit. Estimates are compared
/// byte for byte after a replay, perhaps on another machine.
extension Double {
    /// The natural logarithm of a positive, finite number.
    ///
    /// The algorithm of FreeBSD's `e_log.c` (Sun Microsystems, 1993): error below one unit in the last place.
    var naturalLogarithm: Double {
        // Numbers too small for the usual exponent are scaled; the library's significand is a function call.
        let isSmall = self < .leastNormalMagnitude
        let bits = (isSmall ? self * 0x1p54 : self).bitPattern
        var mantissa = Double(bitPattern: bits & 0x000F_FFFF_FFFF_FFFF | 0x3FF0_0000_0000_0000)
        var exponent = Double(Int(bits >> 52) - (isSmall ? 1_077 : 1_023))
        if mantissa > 2.0.squareRoot() {
            mantissa /= 2
            exponent += 1
        }
        let f = mantissa - 1
        let s = f / (2 + f)
        let z = s * s
        let w = z * z
        let even = w * (0.3999999999940941908 + w * (0.2222219843214978396 + w * 0.1531383769920937332))
        let odd =
            z
            * (0.6666666666666735130
                + w * (0.2857142874366239149 + w * (0.1818357216161805012 + w * 0.1479819860511658591)))
        let half = 0.5 * f * f
        return exponent * 6.93147180369123816490e-01
            - ((half - (s * (half + even + odd) + exponent * 1.90821492927058770002e-10)) - f)
    }

    /// The exponential of a number; the number is limited to ±700.
    ///
    /// The algorithm of FreeBSD's `e_exp.c` (Sun Microsystems, 1993): error below one unit in the last place.
    var exponential: Double {
        let x = clamped(to: -700...700)
        let scaled = x * 1.44269504088896338700
        // Without SSE 4.1, `rounded()` is a function call. The sum's lowest bits are the rounded number.
        let shifted = scaled + 0x1.8p52
        let power = shifted - 0x1.8p52
        let high = x - power * 6.93147180369123816490e-01
        let low = power * 1.90821492927058770002e-10
        let rest = high - low
        let t = rest * rest
        let c =
            rest
            - t
            * (1.66666666666666019037e-01
                + t
                * (-2.77777777770155933842e-03
                    + t
                    * (6.61375632143793436117e-05
                        + t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))))
        let result = 1 - ((low - (rest * c) / (2 - c)) - high)
        return result * Double(bitPattern: (shifted.bitPattern &+ 1_023) << 52)
    }

    /// The probability that a standard normal variable exceeds this number.
    ///
    /// Chebyshev fit of Numerical Recipes (`erfcc`): relative error below 1.2e-7 in both tails.
    var normalSurvival: Double {
        let z = magnitude / 2.0.squareRoot()
        let t = 1 / (1 + 0.5 * z)
        var sum = 0.17087277
        sum = sum * t - 0.82215223
        sum = sum * t + 1.48851587
        sum = sum * t - 1.13520398
        sum = sum * t + 0.27886807
        sum = sum * t - 0.18628806
        sum = sum * t + 0.09678418
        sum = sum * t + 0.37409196
        sum = sum * t + 1.00002368
        sum = sum * t - 1.26551223
        let tail = 0.5 * t * (sum - z * z).exponential
        return self >= 0 ? tail : 1 - tail
    }

    /// The number that a standard normal variable exceeds with probability 1 − self.
    ///
    /// Self is between 0 and 1. Rational approximation of Peter Acklam: relative error below 1.2e-9.
    var normalQuantile: Double {
        let low = 0.02425
        if self < low {
            return Self.tailQuantile((-2 * naturalLogarithm).squareRoot())
        }
        if self > 1 - low {
            return -Self.tailQuantile((-2 * (1 - self).naturalLogarithm).squareRoot())
        }
        let q = self - 0.5
        let r = q * q
        var numerator = -3.969683028665376e+01
        numerator = numerator * r + 2.209460984245205e+02
        numerator = numerator * r - 2.759285104469687e+02
        numerator = numerator * r + 1.383577518672690e+02
        numerator = numerator * r - 3.066479806614716e+01
        numerator = numerator * r + 2.506628277459239e+00
        var denominator = -5.447609879822406e+01
        denominator = denominator * r + 1.615858368580409e+02
        denominator = denominator * r - 1.556989798598866e+02
        denominator = denominator * r + 6.680131188771972e+01
        denominator = denominator * r - 1.328068155288572e+01
        return numerator * q / (denominator * r + 1)
    }

    private static func tailQuantile(_ q: Double) -> Double {
        var numerator = -7.784894002430293e-03
        numerator = numerator * q - 3.223964580411365e-01
        numerator = numerator * q - 2.400758277161838e+00
        numerator = numerator * q - 2.549732539343734e+00
        numerator = numerator * q + 4.374664141464968e+00
        numerator = numerator * q + 2.938163982698783e+00
        var denominator = 7.784695709041462e-03
        denominator = denominator * q + 3.224671290700398e-01
        denominator = denominator * q + 2.445134137142996e+00
        denominator = denominator * q + 3.754408661907416e+00
        return numerator / (denominator * q + 1)
    }

    /// The least divisor, in place of 0.
    static let divisorMin = 1e-9

    /// The nearest number within a range.
    func clamped(to range: ClosedRange<Double>) -> Double {
        Swift.min(Swift.max(self, range.lowerBound), range.upperBound)
    }

    /// The square.
    var squared: Double { self * self }

    /// The power of this positive number.
    func raised(to exponent: Double) -> Double { (naturalLogarithm * exponent).exponential }
}
